//! Receipts: what was answered to a request that its client named
//! (`Idempotency-Key`), kept in the same commit as what the request did.
//!
//! Sent again by the same client, the request does nothing again and gets the
//! same answer. Only what was carried out leaves a receipt: a refusal is
//! decided anew, and so is what writes nothing.
//!
//! The stored form is version 1: one byte of version, 32 of the request's
//! hash, then the answer without the resources, which their versions have.

use salus_auth::Grant;
use salus_store::{Content, Kind as RecordKind, Put, SealKey, Snapshot};

use super::reply::{Place, Reply, Status};
use super::types::ResourceType;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::packed::{Reader, put_number, put_text};
use crate::pipeline::Write;

const RECEIPT: RecordKind = RecordKind::named("salus:Receipt");
const VERSION: u8 = 1;

/// A request with a name.
pub(super) struct Named {
    id: Box<str>,
    request: [u8; 32],
}

impl Named {
    /// A request by its name and what tells it from others: what it asks for and its body.
    pub(super) fn of(cx: &Context, key: Option<&str>, request: &[&[u8]]) -> Option<Self> {
        let name = hash(&[cx.subject.label().as_bytes(), key?.as_bytes()]);
        Some(Self {
            id: salus_crypto::hex(&name).into(),
            request: hash(request),
        })
    }

    /// What was answered when it was carried out, if it was.
    pub(super) async fn answer<T: Answer>(
        &self,
        snapshot: &dyn Snapshot,
    ) -> Result<Option<T>, Error> {
        let Some(record) = snapshot.get(RECEIPT, &self.id).await? else {
            return Ok(None);
        };
        let unreadable = || Error::new(Kind::Internal, "the server cannot read its receipt");
        let Content::Body(body) = record.content else {
            return Err(unreadable());
        };
        let (&[VERSION], rest) = body.split_first_chunk().ok_or_else(unreadable)? else {
            return Err(unreadable());
        };
        let (request, rest) = rest.split_first_chunk().ok_or_else(unreadable)?;
        if *request != self.request {
            return Err(Error::new(
                Kind::Unprocessable,
                "another request was carried out under this Idempotency-Key",
            ));
        }
        let mut from = Reader(rest);
        let answer = T::unpack(&mut from).filter(|_| from.is_done());
        answer.map(Some).ok_or_else(unreadable)
    }

    /// The receipt for an answer.
    pub(super) fn receipt(&self, grant: &Grant, answer: &impl Answer) -> Write {
        let mut body = Vec::with_capacity(128);
        body.push(VERSION);
        body.extend_from_slice(&self.request);
        answer.pack(&mut body);
        let put = Put {
            kind: RECEIPT,
            id: self.id.clone(),
            version: 1,
            content: Content::Body(body.into()),
            rows: Vec::new(),
            main_date_ms: None,
            seal: SealKey::Scope,
        };
        Write::aside(grant, put)
    }
}

/// The hash of several texts: of their hashes, so that each ends where it ends.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let hashes: Vec<_> = parts
        .iter()
        .map(|part| salus_crypto::sha256(part))
        .collect();
    salus_crypto::sha256(hashes.as_flattened())
}

/// An answer that a receipt can keep.
pub(super) trait Answer: Sized {
    /// Appends its stored form, without resources.
    fn pack(&self, out: &mut Vec<u8>);
    /// Reads it back.
    fn unpack(from: &mut Reader<'_>) -> Option<Self>;
    /// The replies in it, to put their resources in.
    fn replies(&mut self) -> Vec<&mut Reply>;
}

const WRITTEN: u8 = 0x10;

impl Answer for Reply {
    fn pack(&self, out: &mut Vec<u8>) {
        let status = match self.status {
            Status::Ok => 1,
            Status::Created => 2,
            Status::NoContent => 3,
            Status::NotModified => 4,
        };
        out.push(status | if self.written { WRITTEN } else { 0 });
        put_number(out, self.version.unwrap_or(0));
        let time = self.updated_ms.and_then(|ms| u64::try_from(ms + 1).ok());
        put_number(out, time.unwrap_or(0));
        put_text(out, self.place.as_ref().map_or("", |place| place.ty.name));
        put_text(out, self.place.as_ref().map_or("", |place| &place.id));
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let first = from.byte()?;
        let status = match first & !WRITTEN {
            1 => Status::Ok,
            2 => Status::Created,
            3 => Status::NoContent,
            4 => Status::NotModified,
            _ => return None,
        };
        let (version, time) = (from.number()?, from.number()?);
        let (ty, id) = (from.text()?, from.text()?);
        let place = match ty {
            "" => None,
            ty => Some(Place {
                ty: ResourceType::named(ty)?,
                id: id.into(),
            }),
        };
        Some(Self {
            written: first & WRITTEN != 0,
            version: (version > 0).then_some(version),
            updated_ms: i64::try_from(time)
                .ok()?
                .checked_sub(1)
                .filter(|ms| *ms >= 0),
            place,
            ..Self::with(status)
        })
    }

    fn replies(&mut self) -> Vec<&mut Reply> {
        vec![self]
    }
}

/// The answers of a transaction; none for a `GET`, which is answered anew.
impl Answer for Vec<Option<Reply>> {
    fn pack(&self, out: &mut Vec<u8>) {
        put_number(out, self.len() as u64);
        for reply in self {
            match reply {
                Some(reply) => reply.pack(out),
                None => out.push(0),
            }
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.number()?;
        let mut replies = Self::new();
        for _ in 0..count {
            replies.push(match from.0.first()? {
                0 => {
                    from.byte()?;
                    None
                }
                _ => Some(Reply::unpack(from)?),
            });
        }
        Some(replies)
    }

    fn replies(&mut self) -> Vec<&mut Reply> {
        self.iter_mut().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Vec<Option<Reply>> {
        let place = Place {
            ty: ResourceType::named("Patient").unwrap(),
            id: "a".into(),
        };
        vec![
            Some(Reply {
                written: true,
                version: Some(300),
                updated_ms: Some(0),
                place: Some(place),
                ..Reply::with(Status::Created)
            }),
            None,
            Some(Reply::with(Status::NoContent)),
        ]
    }

    fn packed() -> Vec<u8> {
        let mut out = Vec::new();
        answers().pack(&mut out);
        out
    }

    #[test]
    fn reads_what_it_wrote() {
        let packed = packed();
        let read = Vec::<Option<Reply>>::unpack(&mut Reader(&packed)).unwrap();
        let told = |replies: Vec<Option<Reply>>| {
            let told = replies.into_iter().map(|reply| {
                let reply = reply?;
                let place = reply.place.map(|place| (place.ty, place.id));
                Some((
                    reply.status,
                    reply.written,
                    reply.version,
                    reply.updated_ms,
                    place,
                    reply.body,
                ))
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(read), told(answers()));
    }

    #[test]
    fn refuses_every_truncation() {
        let packed = packed();
        for end in 0..packed.len() {
            let read = Vec::<Option<Reply>>::unpack(&mut Reader(&packed[..end]));
            assert!(read.is_none(), "cut at {end}");
        }
    }
}
