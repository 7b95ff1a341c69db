//! Authentication and authorization by bearer tokens. A token has a tenant, a role and a highest class.

use serde::{Deserialize, Serialize};

use athanor_engine::Class;

use crate::events;
use crate::problem::{Problem, Reason};

/// The permissions of a token. Each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Read the tenant's jobs, the circuits and the status; verify proofs.
    Read,
    /// Also submit, cancel and retry jobs.
    Submit,
    /// Also load and unload circuits.
    Admin,
}

/// A bearer token. The configuration contains its digest, not the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// The tenant whose jobs it accesses.
    pub tenant: String,
    /// BLAKE3 digest of the token, in hex (`athanor config token` prints it).
    pub blake3: String,
    /// The permissions.
    pub role: Role,
    /// The highest class of jobs that it may submit.
    #[serde(default = "normal")]
    pub class: String,
}

fn normal() -> String {
    "normal".into()
}

impl Token {
    pub(crate) fn check(&self) -> Result<(), String> {
        if blake3::Hash::from_hex(&self.blake3).is_err() {
            return Err(format!(
                "the token of tenant {:?} has an invalid `blake3`: give the BLAKE3 digest of the token as 64 hexadecimal \
                 digits (`athanor config token` prints it)",
                self.tenant
            ));
        }
        if self.tenant.is_empty() || self.tenant.len() > 128 {
            return Err(format!(
                "the name of tenant {:?} has {} bytes: it must have 1 to 128",
                self.tenant,
                self.tenant.len()
            ));
        }
        match Class::named(&self.class) {
            Some(_) => Ok(()),
            None => {
                Err(format!("{:?} is not a class: use critical, high, normal or batch", self.class))
            }
        }
    }

    pub(crate) fn hide(&mut self) {
        self.blake3 = "hidden".into();
    }
}

/// The authenticated sender of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: String,
    pub(crate) role: Role,
    /// The highest class that the caller may request.
    pub(crate) class: Class,
}

impl Caller {
    /// The caller of a request, from its `Authorization` header. If `tokens` is empty, all callers are one tenant with
    /// the role `admin`.
    pub(crate) fn authenticate(
        tokens: &[Token],
        authorization: Option<&str>,
    ) -> Result<Caller, Problem> {
        if tokens.is_empty() {
            let (tenant, role, class) = (String::new(), Role::Admin, Class::Critical);
            return Ok(Caller { tenant, role, class });
        }
        let unauthorised = || {
            Problem::new(Reason::Unauthorised, "send a valid token: Authorization: Bearer <token>")
        };
        let secret = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let secret = secret.ok_or_else(unauthorised)?;
        let digest = blake3::hash(secret.trim().as_bytes());
        // blake3 compares digests in constant time.
        let token = tokens
            .iter()
            .find(|token| blake3::Hash::from_hex(&token.blake3).is_ok_and(|known| known == digest));
        let token = token.ok_or_else(unauthorised)?;
        let class = Class::named(&token.class).unwrap_or(Class::Normal);
        Ok(Caller { tenant: token.tenant.clone(), role: token.role, class })
    }

    /// The caller of a request, if it has the permissions of `role`. Logs refusals.
    pub(crate) fn authorize(
        tokens: &[Token],
        authorization: Option<&str>,
        role: Role,
    ) -> Result<Caller, Problem> {
        let caller = Caller::authenticate(tokens, authorization)
            .inspect_err(|problem| events::refused(None, None, problem))?;
        caller
            .require(role)
            .inspect_err(|problem| events::refused(Some(&caller), None, problem))?;
        Ok(caller)
    }

    /// Checks that the caller has the permissions of `role`.
    fn require(&self, role: Role) -> Result<(), Problem> {
        match self.role >= role {
            true => Ok(()),
            false => Err(Problem::new(
                Reason::Forbidden,
                format!("the token has the role {:?}, the request needs {role:?}", self.role),
            )),
        }
    }

    /// The class of a job: the requested one if the caller may use it, or the default.
    pub(crate) fn class(&self, requested: Option<&str>) -> Result<Class, Problem> {
        let Some(requested) = requested else { return Ok(Class::Normal.max(self.class)) };
        let class = Class::named(requested).ok_or_else(|| {
            let message =
                format!("{requested:?} is not a class: use critical, high, normal or batch");
            Problem::new(Reason::BadRequest, message)
        })?;
        match class >= self.class {
            true => Ok(class),
            false => {
                let message = format!(
                    "the token's highest class is {}: it cannot request {requested}",
                    self.class.name()
                );
                Err(Problem::new(Reason::Forbidden, message))
            }
        }
    }
}
