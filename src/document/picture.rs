//! Which kind of picture some bytes are, and how large: read from their first bytes, and never from what a server says.

use crate::protocol::error::{ErrorCode, OAuthError};

/// The width and the height of a logo, at most: what is larger was made to hurt whoever opens it.
const LARGEST: u32 = 2048;

/// The content type of a picture that may be shown.
///
/// # Errors
/// `invalid_client_metadata`, where it is none, or too large. SVG is none: it runs scripts.
pub(super) fn check(bytes: &[u8]) -> Result<&'static str, OAuthError> {
    let refuse = |why| ErrorCode::InvalidClientMetadata.with(why);
    let Some((kind, width, height)) = look(bytes) else {
        return Err(refuse(
            "the logo is not a picture of a kind that is shown: PNG, JPEG, GIF or WebP",
        ));
    };
    if width == 0 || height == 0 {
        return Err(refuse("the logo has no width or no height"));
    }
    if width > LARGEST || height > LARGEST {
        return Err(refuse("the logo is wider or higher than 2048 pixels"));
    }
    Ok(kind)
}

/// The kind, the width and the height.
fn look(bytes: &[u8]) -> Option<(&'static str, u32, u32)> {
    let named = |kind, (width, height)| (kind, width, height);
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some(named("image/png", png(bytes)?)),
        [b'G', b'I', b'F', b'8', ..] => Some(named("image/gif", gif(bytes)?)),
        [b'R', b'I', b'F', b'F', ..] => Some(named("image/webp", webp(bytes)?)),
        [0xff, 0xd8, 0xff, ..] => Some(named("image/jpeg", jpeg(bytes)?)),
        _ => None,
    }
}

/// PNG (Third Edition) §5.2, §11.2.1: the signature, and `IHDR` as the first chunk.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR") {
        return None;
    }
    let width = *bytes.get(16..)?.first_chunk()?;
    let height = *bytes.get(20..)?.first_chunk()?;
    Some((u32::from_be_bytes(width), u32::from_be_bytes(height)))
}

/// GIF 89a §17, §18: the header and the logical screen.
fn gif(bytes: &[u8]) -> Option<(u32, u32)> {
    if !bytes.starts_with(b"GIF87a") && !bytes.starts_with(b"GIF89a") {
        return None;
    }
    Some((little(bytes, 6)?.into(), little(bytes, 8)?.into()))
}

/// RFC 9649 §2.3 to §2.7: a RIFF container of which the first chunk is lossy, lossless or extended.
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    if bytes.get(8..12)? != b"WEBP" {
        return None;
    }
    let chunk = bytes.get(20..)?;
    match bytes.get(12..16)? {
        // RFC 6386 §9.1: a key frame, its start code, 14 bits each
        b"VP8 " if chunk.first()? & 1 == 0 && chunk.get(3..6)? == [0x9d, 0x01, 0x2a] => {
            let side = |at| Some(u32::from(little(chunk, at)? & 0x3fff));
            Some((side(6)?, side(8)?))
        }
        // RFC 9649 §3.4: 14 bits each, less one
        b"VP8L" if *chunk.first()? == 0x2f => {
            let bits = u32::from_le_bytes(*chunk.get(1..)?.first_chunk()?);
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        // RFC 9649 §2.7: 24 bits each, less one
        b"VP8X" => {
            let side = |at| {
                let [low, middle, high] = *chunk.get(at..)?.first_chunk()?;
                Some(u32::from_le_bytes([low, middle, high, 0]) + 1)
            };
            Some((side(4)?, side(7)?))
        }
        _ => None,
    }
}

/// ITU-T T.81 annex B: from segment to segment, up to the frame header.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        rest = rest.strip_prefix(&[0xff])?;
        // B.1.1.2: a marker may have any number of fill bytes before it
        while let Some(filled) = rest.strip_prefix(&[0xff]) {
            rest = filled;
        }
        let (&marker, segment) = rest.split_first()?;
        let length = usize::from(big(segment, 0)?);
        match marker {
            // SOF: all but DHT, JPG and DAC, which lie between them; length and precision stand before the height
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some((big(segment, 5)?.into(), big(segment, 3)?.into()));
            }
            // no segments before a frame: TEM, restarts, another beginning, the end, a scan
            0x00 | 0x01 | 0xd0..=0xda => return None,
            // a length that does not count itself leads to a zero or a one, which begin no marker
            _ => rest = segment.get(length..)?,
        }
    }
}

fn little(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn big(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::document) fn a_png(width: u32, height: u32) -> Vec<u8> {
        let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
        [
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
            &sides[..],
            b"\x08\x06\0\0\0",
        ]
        .concat()
    }

    fn a_gif(width: u16, height: u16) -> Vec<u8> {
        let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
        [b"GIF89a", &sides[..], b"\xf0\0\0"].concat()
    }

    fn a_lossy(width: u16, height: u16) -> Vec<u8> {
        let head = b"RIFF\x40\0\0\0WEBPVP8 \x34\0\0\0\x30\x01\0\x9d\x01\x2a";
        // the two bits above say how to scale, which browsers do not
        let sides = [
            (width | 0x4000).to_le_bytes(),
            (height | 0x8000).to_le_bytes(),
        ]
        .concat();
        [head, &sides[..]].concat()
    }

    fn a_lossless(width: u32, height: u32) -> Vec<u8> {
        let bits = (width - 1) | (height - 1) << 14 | 1 << 28;
        [
            b"RIFF\x40\0\0\0WEBPVP8L\x34\0\0\0\x2f",
            &bits.to_le_bytes()[..],
        ]
        .concat()
    }

    fn an_extended(width: u32, height: u32) -> Vec<u8> {
        let side = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
        let head = b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0";
        [&head[..], &side(width), &side(height)].concat()
    }

    /// With segments before the frame header `sof`: JFIF, a Huffman table with its `0xc4`, fill bytes.
    fn a_jpeg(sof: u8, width: u16, height: u16) -> Vec<u8> {
        let before = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc4\0\x05\xff\xc0\0\xff\xff\xff";
        let sides = [height.to_be_bytes(), width.to_be_bytes()].concat();
        [&before[..], &[sof, 0, 17, 8], &sides, b"\x03\x01\x22\0"].concat()
    }

    /// CLI-22
    #[test]
    fn the_first_bytes_say_what_a_picture_is_and_how_large() {
        for (kind, bytes, size) in [
            ("image/png", a_png(64, 48), (64, 48)),
            ("image/png", a_png(1 << 31, 1), (1 << 31, 1)),
            ("image/gif", a_gif(300, 2), (300, 2)),
            (
                "image/gif",
                a_gif(5, 6)
                    .into_iter()
                    .map(|b| if b == b'9' { b'7' } else { b })
                    .collect(),
                (5, 6),
            ),
            ("image/webp", a_lossy(640, 16383), (640, 16383)),
            ("image/webp", a_lossless(1, 16384), (1, 16384)),
            (
                "image/webp",
                an_extended(1 << 24, 70_000),
                (1 << 24, 70_000),
            ),
            ("image/jpeg", a_jpeg(0xc0, 640, 480), (640, 480)),
            ("image/jpeg", a_jpeg(0xc2, 65535, 1), (65535, 1)),
        ] {
            let (width, height) = size;
            assert_eq!(look(&bytes), Some((kind, width, height)), "{kind} {size:?}");
            for length in 0..bytes.len() {
                // cut off before its size it is nothing, and behind it what it was
                let cut = look(&bytes[..length]);
                assert!(cut.is_none() || cut == look(&bytes), "{kind} {length}");
            }
        }
    }

    /// CLI-22
    #[test]
    fn a_picture_that_is_too_large_or_empty_is_refused() {
        for (bytes, accepted) in [
            (a_png(2048, 2048), true),
            (a_png(2049, 1), false),
            (a_png(1, 2049), false),
            (a_png(0, 1), false),
            (a_gif(1, 0), false),
            (a_gif(1, 65535), false),
            (a_lossless(2049, 1), false),
            (an_extended(1, 2049), false),
            (a_jpeg(0xc0, 2048, 1), true),
            (a_jpeg(0xc0, 2049, 1), false),
            // the height is told later, by a DNL segment
            (a_jpeg(0xc0, 1, 0), false),
        ] {
            assert_eq!(check(&bytes).is_ok(), accepted, "{bytes:02x?}");
        }
    }

    /// CLI-22, C2
    #[test]
    fn what_is_not_a_picture_is_refused_whatever_it_looks_like() {
        let mut second_chunk = a_png(1, 1);
        second_chunk[12..16].copy_from_slice(b"IDAT");
        let mut audio = a_lossy(1, 1);
        audio[8..12].copy_from_slice(b"WAVE");
        let mut between_frames = a_lossy(1, 1);
        between_frames[20] |= 1;
        for bytes in [
            &b""[..],
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            b"<?xml version='1.0'?><svg/>",
            b"<html><script>alert(1)</script>",
            b"GIF8<script>alert(1)</script>",
            b"GIF88a\x01\0\x01\0",
            b"\x89PNG<script>alert(1)</script>",
            b"RIFF<svg onload=alert(1)>",
            b"%PDF-1.4",
            b"\0\0\x01\0\x01\0",
            b"BM\0\0\0\0",
            b"\xff\xd8\xff\xd9\0\0",
            b"\xff\xd8\xff\xe0\0\0\xff\xc0\0\x11\x08\0\x01\0\x01",
            b"\xff\xd8\xff\xe0\0\x01\xff\xc0\0\x11\x08\0\x01\0\x01",
            b"\xff\xd8\xff\xda\0\x02\xff\xc0\0\x11\x08\0\x01\0\x01",
            b"\xff\xd8\xff\xe0\0\x04ab<script>",
            &a_jpeg(0xc8, 1, 1),
            &second_chunk,
            &audio,
            &between_frames,
        ] {
            assert!(check(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, which in 0..6_usize, cut: u8) {
            let _ = look(&bytes);
            let whole = [
                a_png(1, 1),
                a_gif(1, 1),
                a_lossy(1, 1),
                a_lossless(1, 1),
                an_extended(1, 1),
                a_jpeg(0xc0, 1, 1),
            ];
            let begun = &whole[which][..usize::from(cut) % whole[which].len()];
            let _ = look(&[begun, &bytes[..]].concat());
        }
    }
}
