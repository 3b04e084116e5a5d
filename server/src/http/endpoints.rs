//! Every address of the API with its methods. What is not in the table cannot be reached, and docs/openapi.json is
//! held against it.

use crate::http::error::ApiError;
use warp::http::{Method, StatusCode};

/// One method on one address. `{…}` stands for one segment that is not empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The method. HEAD goes wherever GET does.
    pub method: Method,
    /// The address.
    pub path: &'static str,
}

const fn get(path: &'static str) -> Endpoint {
    Endpoint { method: Method::GET, path }
}

const fn post(path: &'static str) -> Endpoint {
    Endpoint { method: Method::POST, path }
}

/// The public API.
pub const ENDPOINTS: [Endpoint; 21] = [
    get("/v1/node"),
    get("/v1/info"),
    get("/v1/ledgers"),
    get("/v1/ledgers/{ledger}"),
    get("/v1/ledgers/{ledger}/transactions"),
    get("/v1/ledgers/{ledger}/proof"),
    post("/v1/transactions"),
    get("/v1/transactions/{hash}"),
    get("/v1/accounts/{account}"),
    get("/v1/accounts/{account}/transactions"),
    get("/v1/accounts/{account}/data"),
    get("/v1/accounts/{account}/data/{key}"),
    get("/v1/quorum"),
    get("/v1/peers"),
    get("/v1/slots"),
    get("/v1/slots/{slot}"),
    get("/v1/events"),
    get("/v1/openapi.json"),
    get("/livez"),
    get("/readyz"),
    get("/metrics"),
];

/// What a surface answers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    /// Its addresses.
    pub(crate) endpoints: &'static [Endpoint],
    /// Every address that begins with one of these is in the table or nowhere; every other is a page or a file. An
    /// empty one reserves everything.
    pub(crate) reserved: &'static [&'static str],
}

/// The public side: the API, and the dashboard everywhere else.
pub(crate) const PUBLIC: Surface = Surface { endpoints: &ENDPOINTS, reserved: &["/v1"] };

impl Surface {
    /// Is there such an address, and does it take this method?
    pub(crate) fn check(&self, method: &Method, path: &str) -> Result<(), ApiError> {
        let methods = self.methods(path);
        if methods.is_empty() {
            return Err(ApiError::not_found("there is nothing at this address; docs/http.md lists what there is"));
        }
        if methods.contains(method) {
            return Ok(());
        }
        let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("this address takes {allowed} only");
        Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).allow(allowed))
    }

    /// The methods of an address; none if there is no such address.
    fn methods(&self, path: &str) -> Vec<Method> {
        let mut methods: Vec<Method> = Vec::new();
        for endpoint in self.endpoints.iter().filter(|endpoint| fits(endpoint.path, path)) {
            methods.push(endpoint.method.clone());
        }
        let reserved =
            |prefix: &&str| path.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if methods.is_empty() && !self.reserved.iter().any(reserved) {
            methods.push(Method::GET);
        }
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods
    }
}

/// Does `path` fit the template?
fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found || (wanted.starts_with('{') && !found.is_empty()) => {}
            (Some(_) | None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_fits_its_template_and_no_other() {
        for (template, path, good) in [
            ("/v1/node", "/v1/node", true),
            ("/v1/node", "/v1/node/", false),
            ("/v1/node", "/v1/NODE", false),
            ("/v1/node", "//v1/node", false),
            ("/v1/ledgers/{ledger}", "/v1/ledgers/5", true),
            ("/v1/ledgers/{ledger}", "/v1/ledgers/", false),
            ("/v1/ledgers/{ledger}", "/v1/ledgers/5/6", false),
        ] {
            assert_eq!(fits(template, path), good, "{template} {path}");
        }
    }

    #[test]
    fn a_method_an_address_does_not_take_is_refused_with_those_it_takes() {
        let allowed = |method, path| PUBLIC.check(&method, path).expect_err(path);
        let error = allowed(Method::DELETE, "/v1/ledgers/5");
        assert_eq!((error.status.as_u16(), error.allow.as_deref()), (405, Some("GET, HEAD")));
        assert_eq!(allowed(Method::GET, "/v1/transactions").allow.as_deref(), Some("POST"));
        assert_eq!(allowed(Method::POST, "/some/page").allow.as_deref(), Some("GET, HEAD"));
        assert_eq!(allowed(Method::GET, "/v1").status.as_u16(), 404);
        assert_eq!(allowed(Method::GET, "/v1/nothing").status.as_u16(), 404);
        assert!(PUBLIC.check(&Method::GET, "/v1x").is_ok(), "the dashboard's");
        assert!(PUBLIC.check(&Method::HEAD, "/v1/node").is_ok());
    }
}
