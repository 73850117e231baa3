//! The gate as a webhook, for API servers that have no mutating policies: what `deploy/gate.yaml` and `deploy/requests.yaml` say in
//! CEL, once more. Which writes are asked about stands in the webhook's match conditions (`deploy/older/webhook.yaml`), as it
//! stands in those of the policies.

pub mod certificate;
pub mod hold;
pub mod review;
pub mod stamp;

#[cfg(test)]
mod tests;
