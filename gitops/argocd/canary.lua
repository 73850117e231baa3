-- Health of serin.dev/Canary for Argo CD, by the conditions that kstatus reads too: Stalled is final, everything else may still end
-- well. A status that does not know the newest spec says nothing.
local function condition(name)
  for _, each in ipairs((obj.status or {}).conditions or {}) do
    if each.type == name then
      return each
    end
  end
  return {}
end

local function health(status, message)
  if message == nil or message == "" then
    message = (obj.status or {}).message or ""
  end
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "being deleted: traffic goes back to stable")
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the controller has not seen this spec yet")
end
if condition("Stalled").status == "True" then
  return health("Degraded", condition("Stalled").message)
end
if condition("Ready").status == "True" then
  return health("Healthy", condition("Ready").message)
end
return health("Progressing", condition("Reconciling").message)
