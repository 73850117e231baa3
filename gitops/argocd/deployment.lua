-- Health of apps/Deployment for Argo CD: one that Serin holds is at work or rejected, and not merely suspended, for a sync waits for
-- what is suspended without an end. Every other Deployment is judged as Argo CD does it by itself.
local spec, status = obj.spec or {}, obj.status or {}
local seen = (status.observedGeneration or 0) >= (obj.metadata.generation or 0)

local late = nil
for _, each in ipairs(status.conditions or {}) do
  if each.type == "Progressing" and each.reason == "ProgressDeadlineExceeded" then
    late = each.message or ""
  end
end

local function health(name, message)
  return { status = name, message = message }
end

-- A verdict about an older template is none about this one, and neither is a timeout from before the hold.
if (obj.metadata.labels or {})["serin.dev/held"] == "true" then
  if seen and late ~= nil and string.sub(late, 1, 6) == "serin:" then
    return health("Degraded", late)
  end
  return health("Progressing", "held by Serin while its canary is tried: see the Canary")
end

if spec.paused then
  return health("Suspended", "paused")
end
if not seen then
  return health("Progressing", "the Deployment controller has not seen this spec yet")
end
if late ~= nil then
  return health("Degraded", late ~= "" and late or "no progress within the deadline")
end

local wanted, all = spec.replicas or 1, status.replicas or 0
local updated, available = status.updatedReplicas or 0, status.availableReplicas or 0
if updated < wanted then
  return health("Progressing", updated .. " of " .. wanted .. " Pods run the new template")
end
if all > updated then
  return health("Progressing", (all - updated) .. " old Pods are still there")
end
if available < updated then
  return health("Progressing", available .. " of " .. updated .. " new Pods are available")
end
return health("Healthy", "")
