//! One request to a registry: let in, tried again where that helps, redirected where that is safe.

use std::time::Duration;

use corten_net::{Client, Exchange, Payload, Response, Url};

use crate::address;
use crate::challenge::{self, Challenge};
use crate::credentials::Credentials;
use crate::error::{Doing, RegistryError, Words};
use crate::token::{Doorman, Scope, Visit};

/// How many redirects are followed.
const REDIRECTS: u32 = 5;
/// Who asks to be left alone for longer is: the pauses between all tries are no longer than this.
const PATIENCE: Duration = Duration::from_secs(120);

/// A registry's side of a conversation: where it is, and how it lets us in.
pub(crate) struct Line<'a> {
    pub(crate) client: &'a Client,
    /// The registry as people write it: `docker.io`, `localhost:5000`.
    pub(crate) name: String,
    /// The API's beginning, `…/v2/`.
    pub(crate) base: Url,
    pub(crate) credentials: Credentials,
    pub(crate) doorman: Doorman,
}

/// What is asked.
pub(crate) struct Call<'c> {
    pub(crate) method: &'c str,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'c str, String)>,
    pub(crate) body: &'c [u8],
    pub(crate) scopes: &'c [Scope],
}

impl<'c> Call<'c> {
    /// Without headers and body.
    pub(crate) fn new(method: &'c str, url: Url, scopes: &'c [Scope]) -> Self {
        Self { method, url, headers: Vec::new(), body: &[], scopes }
    }

    fn exchange<'x>(&'x self, url: &'x Url, authorization: Option<String>) -> Exchange<'x> {
        let mut headers = self.headers.clone();
        headers.extend(authorization.map(|value| ("authorization", value)));
        let payload = if self.body.is_empty() && !matches!(self.method, "POST" | "PUT" | "PATCH") {
            Payload::Empty
        } else {
            Payload::Bytes(self.body)
        };
        Exchange { method: self.method, url, headers, payload }
    }
}

impl Line<'_> {
    /// An address below the API's beginning.
    pub(crate) fn url(&self, doing: &Doing, path: &str) -> Result<Url, RegistryError> {
        self.base.join(path).map_err(|error| self.wrong(doing, error.to_string()))
    }

    fn visit<'v>(&'v self, doing: &'v Doing) -> Visit<'v> {
        let (name, registry) = (&self.name, &self.base);
        Visit { client: self.client, name, registry, credentials: &self.credentials, doing }
    }

    /// The header that lets in, as far as the registry has said what it wants.
    pub(crate) fn authorization(&self, doing: &Doing, scopes: &[Scope]) -> Result<Option<String>, RegistryError> {
        self.doorman.header(&self.visit(doing), scopes)
    }

    /// Takes in a 401. `false`: there is nothing more to try.
    pub(crate) fn refused(&self, doing: &Doing, answer: &Response, scopes: &[Scope]) -> Result<bool, RegistryError> {
        let challenges: Vec<Challenge> = answer.all("www-authenticate").flat_map(challenge::parse).collect();
        self.doorman.refused(&self.visit(doing), &challenges, scopes)
    }

    /// The answer, whatever its status. What may pass is tried again, as often as the client's settings say.
    pub(crate) fn call(&self, doing: &Doing, call: &Call<'_>) -> Result<Response, RegistryError> {
        let settings = self.client.settings();
        let (mut pause, mut left) = (settings.pause, settings.retries);
        loop {
            let asked = match self.once(doing, call) {
                Ok(answer) if left == 0 || !may_pass_soon(&answer) => return Ok(answer),
                Ok(answer) => answer.retry_after(),
                Err((error, false)) => return Err(error),
                Err((error, true)) if left == 0 => return Err(error),
                Err((_, true)) => None,
            };
            left -= 1;
            self.client.wait(&self.base, asked, pause);
            pause = pause.saturating_mul(2);
        }
    }

    /// Follows redirects and answers challenges. `Err(_, true)`: it may pass.
    fn once(&self, doing: &Doing, call: &Call<'_>) -> Result<Response, (RegistryError, bool)> {
        let (mut url, mut let_in) = (call.url.clone(), false);
        for _ in 0..=REDIRECTS + 1 {
            let own = url.same_origin(&self.base);
            let header =
                if own { self.authorization(doing, call.scopes).map_err(|error| (error, false))? } else { None };
            let answer = self.client.exchange(call.exchange(&url, header));
            let answer =
                answer.map_err(|(source, may_pass)| (RegistryError::Net { doing: doing.clone(), source }, may_pass))?;
            match answer.status {
                // Another host's challenge is not answered.
                401 if own
                    && !let_in
                    && self.refused(doing, &answer, call.scopes).map_err(|error| (error, false))? =>
                {
                    let_in = true;
                }
                301 | 302 | 303 | 307 | 308 if matches!(call.method, "GET" | "HEAD") => {
                    let location = answer.header("location").unwrap_or_default();
                    url = self.elsewhere(doing, &url, location).map_err(|error| (error, false))?;
                }
                _ => {
                    self.doorman.let_in();
                    return Ok(answer);
                }
            }
        }
        Err((self.wrong(doing, format!("{} redirects more than {REDIRECTS} times", call.url.host())), false))
    }

    /// Where a registry sends us: never from https to http, and to no private address unless it has one itself.
    pub(crate) fn elsewhere(&self, doing: &Doing, from: &Url, location: &str) -> Result<Url, RegistryError> {
        let to =
            from.join(location).map_err(|error| self.wrong(doing, format!("{} redirects to {error}", from.host())))?;
        let to = to.without_login();
        let host = from.host();
        let refuse = |why: String| RegistryError::Unsafe {
            doing: doing.clone(),
            why,
            hint: "the registry, or something on the way to it, is set up wrongly".to_owned(),
        };
        if from.secure() && !to.secure() {
            return Err(refuse(format!("{host} redirects from https to http ({})", without_query(&to))));
        }
        if !address::may_lead_to(&self.base, &to) {
            return Err(refuse(format!("{host} redirects to a private address ({})", without_query(&to))));
        }
        Ok(to)
    }

    /// Something that a registry must not send.
    pub(crate) fn wrong(&self, doing: &Doing, why: String) -> RegistryError {
        RegistryError::Wrong { doing: doing.clone(), why }
    }

    /// A refusal in words.
    pub(crate) fn refusal(&self, doing: &Doing, answer: Response) -> RegistryError {
        let (doing, host, status) = (doing.clone(), answer.url.host().to_owned(), answer.status);
        let wait = answer.retry_after().filter(|wait| *wait > PATIENCE);
        let words = Words::read(answer.body);
        match status {
            404 => RegistryError::NotFound { doing, host, words },
            401 | 403 => {
                let why = match self.credentials {
                    Credentials::Anonymous => "it wants to know who asks",
                    _ => "one may not do this under this name",
                };
                RegistryError::Denied { doing, host, registry: self.name.clone(), why, words }
            }
            407 => RegistryError::Status { doing, host: format!("the proxy before {host}"), status, wait, words },
            _ => RegistryError::Status { doing, host, status, wait, words },
        }
    }
}

/// Signed addresses are secrets.
fn without_query(url: &Url) -> String {
    url.to_string().split('?').next().unwrap_or_default().to_owned()
}

/// Is it worth another try, after as long a pause as we have patience for?
pub(crate) fn may_pass_soon(answer: &Response) -> bool {
    let may_pass = matches!(answer.status, 408 | 429 | 500 | 502 | 503 | 504);
    may_pass && answer.retry_after().is_none_or(|wait| wait <= PATIENCE)
}
