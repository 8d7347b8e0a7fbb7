//! What a token costs: minting, verifying, refusing, sealing. Run with `cargo bench --bench jwt`.

#![expect(
    clippy::expect_used,
    reason = "a measurement that cannot begin has to stop"
)]

use anteroom::clock::UnixTime;
use anteroom::jwt::kept::KeptKeys;
use anteroom::jwt::keys::{Algorithm, KeyMaterial};
use anteroom::jwt::ring::KeyRing;
use anteroom::protocol::claims::AccessClaims;
use anteroom::protocol::ids::{ClientId, Id, Subject};
use anteroom::seal::{Marks, Purpose, Sealer, SealingKey, SealingKeys};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
const RESOURCE: &str = "https://mcp.example.com/mcp";
const NOW: UnixTime = UnixTime(1_800_000_000);

fn ring(algorithm: Algorithm) -> KeyRing {
    let key = KeyMaterial::generate(algorithm).expect("a key");
    let issuer = "https://mcp.example.com".to_owned();
    KeyRing::new(issuer, &KeptKeys::first(key, NOW)).expect("a key ring")
}

fn claims() -> AccessClaims {
    AccessClaims {
        iss: "https://mcp.example.com".to_owned(),
        sub: Subject::new("github:583231"),
        aud: RESOURCE.to_owned(),
        client_id: ClientId::new(Id::new(NOW).to_string()),
        iat: NOW,
        exp: UnixTime(NOW.0 + 3600),
        jti: Id::new(NOW).to_string(),
        scope: "mcp:prompts:list mcp:prompts:read mcp:resources:list mcp:tools:execute".to_owned(),
        sid: Id::new(NOW).to_string(),
    }
}

#[divan::bench(args = ALGORITHMS)]
fn mint(bencher: Bencher, algorithm: Algorithm) {
    let (ring, claims) = (ring(algorithm), claims());
    bencher.bench(|| ring.mint(black_box(&claims)).expect("a token"));
}

#[divan::bench(args = ALGORITHMS)]
fn verify(bencher: Bencher, algorithm: Algorithm) {
    let ring = ring(algorithm);
    let token = ring.mint(&claims()).expect("a token");
    bencher.bench(|| {
        let verified = ring.verify(black_box(token.expose()), RESOURCE, NOW);
        assert!(verified.is_ok());
    });
}

#[divan::bench(args = ALGORITHMS)]
fn refuse_bad_signature(bencher: Bencher, algorithm: Algorithm) {
    let ring = ring(algorithm);
    let token = ring.mint(&claims()).expect("a token");
    // A character of the first half, so that the signature keeps its form and is looked at.
    let at = token.expose().rfind('.').expect("three parts") + 10;
    let mut bad = token.expose().to_owned();
    let other = if bad.as_bytes()[at] == b'A' { "B" } else { "A" };
    bad.replace_range(at..=at, other);
    bencher.bench(|| {
        let refused = ring.verify(black_box(&bad), RESOURCE, NOW);
        assert!(refused.is_err());
    });
}

#[divan::bench]
fn jwks(bencher: Bencher) {
    let ring = ring(Algorithm::Es256);
    bencher.bench(|| ring.jwks(black_box(NOW)));
}

#[divan::bench]
fn refuse_unknown_key(bencher: Bencher) {
    let (ours, theirs) = (ring(Algorithm::Es256), ring(Algorithm::Es256));
    let token = theirs.mint(&claims()).expect("a token");
    bencher.bench(|| {
        let refused = ours.verify(black_box(token.expose()), RESOURCE, NOW);
        assert!(refused.is_err());
    });
}

#[divan::bench]
fn refuse_malformed(bencher: Bencher) {
    let ring = ring(Algorithm::Es256);
    let long = "x".repeat(600);
    bencher.bench(|| {
        let refused = ring.verify(black_box(&long), RESOURCE, NOW);
        assert!(refused.is_err());
    });
}

const SIZES: [usize; 3] = [40, 200, 2000];

fn sealer() -> Sealer {
    Sealer::new(&SealingKeys::one(SealingKey::random()))
}

#[divan::bench(args = SIZES)]
fn seal(bencher: Bencher, size: usize) {
    let (sealer, clear) = (sealer(), vec![7; size]);
    bencher.bench(|| sealer.seal(Purpose::UpstreamTokens, b"context", black_box(&clear)));
}

#[divan::bench(args = SIZES)]
fn open(bencher: Bencher, size: usize) {
    let (sealer, clear) = (sealer(), vec![7; size]);
    let kept = sealer.seal(Purpose::UpstreamTokens, b"context", &clear);
    bencher.bench(|| {
        let opened = sealer.open(Purpose::UpstreamTokens, b"context", black_box(&kept));
        assert!(opened.is_ok());
    });
}

#[divan::bench]
fn tag(bencher: Bencher) {
    let marks = Marks::new(&Marks::make_secret());
    bencher.bench(|| {
        marks.tag(
            Purpose::RefreshTag,
            black_box(b"an identifier and a secret of it"),
        )
    });
}
