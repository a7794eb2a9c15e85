//! Compression of a body that comes in pieces and is never held whole.

use std::io::{self, Write};
use std::mem;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{BROTLI_LEVEL, BROTLI_WINDOW_BITS, BUFFER_BYTES, Coding, GZIP_LEVEL, ZSTD_LEVEL};

pub(super) enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        let out = Vec::new();
        Ok(match coding {
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?),
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                out,
                BUFFER_BYTES,
                BROTLI_LEVEL,
                BROTLI_WINDOW_BITS,
            ))),
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Self::Gzip(flate2::write::GzEncoder::new(out, level))
            }
        })
    }

    /// The body in its coding. A piece that does not come breaks it off: no
    /// reader takes what is there for the whole.
    pub(super) fn over(self, body: Body) -> Body {
        let state = Some((self, body.into_data_stream()));
        let written = stream::try_unfold(state, async |state| {
            let Some((encoder, mut pieces)) = state else {
                return Ok(None);
            };
            let piece = pieces.next().await.transpose().map_err(io::Error::other)?;
            // Some milliseconds: not for a thread that answers others.
            let work = tokio::task::spawn_blocking(move || encoder.take(piece.as_deref()));
            let (encoder, bytes) = work.await.map_err(io::Error::other)??;
            let state = encoder.map(|encoder| (encoder, pieces));
            Ok::<_, io::Error>(Some((bytes, state)))
        });
        Body::from_stream(written)
    }

    /// Takes a piece, or the end, and gives what is written by then.
    fn take(mut self, piece: Option<&[u8]>) -> io::Result<(Option<Self>, Bytes)> {
        let Some(piece) = piece else {
            return Ok((None, self.finish()?.into()));
        };
        self.writer().write_all(piece)?;
        let written = mem::take(self.written());
        Ok((Some(self), written.into()))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Zstd(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
        }
    }

    fn written(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::coding::CODINGS;

    fn pieces(count: usize, broken: bool) -> Body {
        let piece = || {
            Ok(Bytes::from(
                "{\"resourceType\":\"Patient\"}\n".repeat(1_000),
            ))
        };
        let end = broken.then(|| Err(io::Error::other("the disk is gone")));
        let all = (0..count).map(move |_| piece()).chain(end);
        Body::from_stream(stream::iter(all))
    }

    #[tokio::test]
    async fn pieces_are_one_text_again() {
        for coding in CODINGS {
            for count in [0, 1, 20] {
                let text = pieces(count, false).collect().await.unwrap().to_bytes();
                let body = Encoder::new(coding).unwrap().over(pieces(count, false));
                let written = body.collect().await.unwrap().to_bytes();
                assert!(written.len() <= 40 + text.len() / 20, "{coding:?}");
                assert_eq!(coding.read(&written, text.len()).unwrap(), text);
            }
            let broken = Encoder::new(coding).unwrap().over(pieces(3, true));
            assert!(broken.collect().await.is_err(), "{coding:?}");
        }
    }
}
