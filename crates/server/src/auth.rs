//! Who asks. A token belongs to a tenant, has a role, and a highest class.

use serde::{Deserialize, Serialize};

use athanor_engine::Class;

use crate::events;
use crate::problem::{Problem, Reason};

/// What a token may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// See the tenant's jobs, circuits and status; verify.
    Read,
    /// Submit, cancel and retry besides.
    Submit,
    /// Load and unload circuits besides.
    Admin,
}

/// A bearer token. Kept as a digest: the configuration need not hold the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// Whose jobs it sees.
    pub tenant: String,
    /// BLAKE3 of the token, in hex (`athanor config token` prints it).
    pub blake3: String,
    /// What it may do.
    pub role: Role,
    /// Its highest class.
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
                "the token of tenant {:?} is no BLAKE3 digest in hex",
                self.tenant
            ));
        }
        if self.tenant.is_empty() || self.tenant.len() > 128 {
            return Err("a tenant's name has 1 to 128 bytes".into());
        }
        match Class::named(&self.class) {
            Some(_) => Ok(()),
            None => Err(format!("{:?} is no class: critical, high, normal or batch", self.class)),
        }
    }

    pub(crate) fn hide(&mut self) {
        self.blake3 = "hidden".into();
    }
}

/// Who asks, and what they may.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: String,
    pub(crate) role: Role,
    /// The most urgent class they may ask for.
    pub(crate) class: Class,
}

impl Caller {
    /// From a request's `Authorization`. Without any tokens everybody is one tenant with every right.
    pub(crate) fn authenticate(
        tokens: &[Token],
        authorization: Option<&str>,
    ) -> Result<Caller, Problem> {
        if tokens.is_empty() {
            let (tenant, role, class) = (String::new(), Role::Admin, Class::Critical);
            return Ok(Caller { tenant, role, class });
        }
        let unauthorised =
            || Problem::new(Reason::Unauthorised, "send a token: Authorization: Bearer <token>");
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

    /// From a request's `Authorization`, if they may do what the role may.
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

    /// Whether they may do what the role may.
    fn require(&self, role: Role) -> Result<(), Problem> {
        match self.role >= role {
            true => Ok(()),
            false => {
                Err(Problem::new(Reason::Forbidden, format!("this token may not: needs {role:?}")))
            }
        }
    }

    /// The class they ask for, if they may have it.
    pub(crate) fn class(&self, requested: Option<&str>) -> Result<Class, Problem> {
        let Some(requested) = requested else { return Ok(Class::Normal.max(self.class)) };
        let class = Class::named(requested).ok_or_else(|| {
            let message = format!("{requested:?} is no class: critical, high, normal or batch");
            Problem::new(Reason::BadRequest, message)
        })?;
        match class >= self.class {
            true => Ok(class),
            false => {
                let message = format!("this token's highest class is lower than {requested}");
                Err(Problem::new(Reason::Forbidden, message))
            }
        }
    }
}
