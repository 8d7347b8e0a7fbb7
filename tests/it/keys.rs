//! Keys that change under people who are signed in: nobody notices, whatever breaks off in the middle.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::time::Duration;

use anteroom::clock::{Clock as _, UnixTime};
use anteroom::flow::keys::{
    KeyChangeError, KeyKind, KeyState, KnownKey, PUBLISHED_BEFORE, SEALED_KEPT,
};
use anteroom::protocol::grant::Grant;
use anteroom::seal::{KeyFile, Purpose, SealError, Sealer, SealingKeys};
use anteroom::standin::Standin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::client::{Client, Tokens, message};
use crate::harness::log::Log;
use crate::harness::process::Place;
use crate::harness::server::{Builder, NOW, Server, server};
use crate::outage::{Trouble, unsteady};

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(3600);
const AFTERWARDS: Duration = Duration::from_secs(60);

/// A server whose sealing keys are its own.
fn on_disk() -> Builder {
    server().on_sled().with_key_file()
}

async fn kids(server: &Server) -> Vec<String> {
    let answer = server.get("/.well-known/jwks.json").await;
    let document = answer.json();
    let keys = document["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(tokens: &Tokens) -> String {
    tokens.header()["kid"].as_str().unwrap().to_owned()
}

async fn known(server: &Server, kind: KeyKind) -> Vec<KnownKey> {
    let mut keys = server.app.flows().list_keys().await.unwrap();
    keys.retain(|key| key.kind == kind);
    keys
}

async fn states(server: &Server, kind: KeyKind) -> Vec<KeyState> {
    let keys = known(server, kind).await;
    keys.iter().map(|key| key.state).collect()
}

async fn status_at_mcp(client: &Client, access: &str) -> u16 {
    client.initialize(access).await.status.as_u16()
}

async fn refreshed(client: &Client, tokens: &Tokens) -> Tokens {
    Tokens::read(&client.refresh(&tokens.refresh).await)
}

fn file_keys(server: &Server) -> SealingKeys {
    server.world.key_file().unwrap().read().unwrap().unwrap()
}

async fn grants(server: &Server) -> Vec<Grant> {
    let now = server.world.clock.now();
    server
        .world
        .store
        .list_grants(None, 1000, now)
        .await
        .unwrap()
}

/// How many of the grants are sealed with the first key of the file; every one opens with one of them.
async fn sealed_anew(server: &Server) -> usize {
    let sealer = Sealer::new(&file_keys(server));
    let mut anew = 0;
    for grant in grants(server).await {
        let context = grant.subject().as_str().as_bytes();
        let opened = sealer.open(Purpose::UpstreamTokens, context, &grant.tokens);
        assert!(opened.is_ok(), "{opened:?}");
        anew += usize::from(sealer.is_current(&grant.tokens));
    }
    anew
}

/// People who are signed in, each with a client.
async fn people(server: &Server) -> Vec<(Client, Tokens)> {
    let mut people = Vec::new();
    for person in ["mona", "hubot", "octavia"] {
        let client = server.client().await;
        let tokens = client.sign_in(person).await;
        people.push((client, tokens));
    }
    people
}

/// Everybody goes on at `server` as if nothing had been.
async fn all_go_on(server: &Server, people: &mut [(Client, Tokens)]) {
    for (client, tokens) in people {
        *client = client.moved_to(server);
        assert_eq!(status_at_mcp(client, &tokens.access).await, 200);
        *tokens = refreshed(client, tokens).await;
        assert_eq!(status_at_mcp(client, &tokens.access).await, 200);
    }
}

/// AT-07, AT-08
#[tokio::test]
async fn a_signing_key_is_published_before_it_signs_and_until_all_that_it_signed_is_over() {
    let server = on_disk().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let old = kid(&tokens);
    assert_eq!(kids(&server).await, [&*old]);

    let made = server.app.flows().rotate_signing_key().await.unwrap();
    assert_eq!(made.state, KeyState::Published);
    let both = [old.clone(), made.id.clone()];
    assert_eq!(kids(&server).await, both);
    let header = server.get("/.well-known/jwks.json").await;
    let kept = header.header("cache-control").rsplit_once('=').unwrap().1;
    let kept = Duration::from_secs(kept.parse().unwrap());
    assert!(kept < PUBLISHED_BEFORE);

    server.advance(PUBLISHED_BEFORE.saturating_sub(SECOND));
    let before = refreshed(&client, &tokens).await;
    assert_eq!(kid(&before), old);
    server.advance(SECOND);
    let after = refreshed(&client, &before).await;
    assert_eq!(kid(&after), made.id);
    // another process, and the tidying, change nothing of that
    for server in [&server, &server.restart().await] {
        server.app.flows().tend_keys().await.unwrap();
        assert_eq!(kids(server).await, both);
        assert_eq!(
            states(server, KeyKind::Signing).await,
            [KeyState::Retired, KeyState::InUse]
        );
        let client = client.moved_to(server);
        for tokens in [&tokens, &before, &after] {
            assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
        }
    }
    server.advance(LIFE.saturating_sub(SECOND * 2));
    assert_eq!(status_at_mcp(&client, &before.access).await, 200);
    server.advance(SECOND);
    assert_eq!(status_at_mcp(&client, &before.access).await, 401);
    assert_eq!(kids(&server).await, both);
    server.advance(AFTERWARDS + SECOND);
    assert_eq!(kids(&server).await, [&*made.id]);
    assert_eq!(known(&server, KeyKind::Signing).await.len(), 1);
    server.app.flows().tend_keys().await.unwrap();
    let last = refreshed(&client, &after).await;
    assert_eq!(status_at_mcp(&client, &last.access).await, 200);
    assert_eq!(kids(&server.restart().await).await, [made.id]);
}

/// AT-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_rotate_at_once_one_key_follows() {
    let one = on_disk().start().await;
    let other = one.restart().await;
    let before = kids(&one).await;
    let mut rotating = JoinSet::new();
    for turn in 0..16 {
        let server = if turn % 2 == 0 { &one } else { &other };
        let flows = server.app.flows().clone();
        rotating.spawn(async move { flows.rotate_signing_key().await.unwrap().id });
    }
    let made: BTreeSet<_> = rotating.join_all().await.into_iter().collect();
    assert_eq!(made.len(), 1);
    let expected = [before, made.into_iter().collect()].concat();
    for server in [&one, &other, &one.restart().await] {
        assert_eq!(kids(server).await, expected);
    }
}

/// AT-08
#[tokio::test]
async fn what_another_instance_rotated_is_seen_before_it_signs() {
    let one = on_disk().start().await;
    let other = one.restart().await;
    one.app.flows().rotate_signing_key().await.unwrap();
    assert_ne!(kids(&other).await, kids(&one).await);
    other.app.flows().tend_keys().await.unwrap();
    assert_eq!(kids(&other).await, kids(&one).await);
}

/// AT-07, SEC-04, SEC-08
#[tokio::test]
async fn nothing_private_of_a_key_is_published_or_logged_or_lies_in_the_store() {
    let (log, _guard) = Log::listen("trace");
    let server = on_disk().start().await;
    let flows = server.app.flows();
    flows.rotate_signing_key().await.unwrap();
    flows.rotate_sealing_key().await.unwrap();
    flows.tend_keys().await.unwrap();
    let document = server.get("/.well-known/jwks.json").await;
    for jwk in document.json()["keys"].as_array().unwrap() {
        let members: BTreeSet<_> = jwk.as_object().unwrap().keys().map(|key| &**key).collect();
        let public = ["alg", "crv", "kid", "kty", "use", "x", "y"];
        assert_eq!(members, public.into());
    }
    let file = std::fs::read_to_string(server.world.key_file().unwrap().path()).unwrap();
    let secrets = file.lines().filter(|line| !line.starts_with('#'));
    let secrets: Vec<_> = secrets
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(secrets.len(), 2);
    let log = log.text();
    assert_eq!(log.matches("keys_changed").count(), 3, "{log}");
    let listed = format!("{:?}", flows.list_keys().await.unwrap());
    for secret in secrets {
        assert!(!log.contains(secret) && !listed.contains(secret));
    }
    // PKCS#8 of a key on P-256, as it would lie there in clear
    let object_id = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let on_disk = server.on_disk();
    assert!(!on_disk.windows(8).any(|bytes| bytes == object_id));
}

/// SEC-08, CONS-15
#[tokio::test]
async fn another_sealing_key_logs_nobody_out_and_the_old_one_goes_in_the_end() {
    let server = on_disk().start().await;
    let mut people = people(&server).await;
    let flows = server.app.flows();
    let made = flows.rotate_sealing_key().await.unwrap();
    assert_eq!(made.state, KeyState::InUse);
    assert_eq!(sealed_anew(&server).await, 0);
    let listed = known(&server, KeyKind::Sealing).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].until, Some(NOW + SEALED_KEPT));
    assert_eq!(
        (listed[0].state, listed[1].clone()),
        (KeyState::Retired, made)
    );
    all_go_on(&server, &mut people).await;

    flows.tend_keys().await.unwrap();
    assert_eq!(sealed_anew(&server).await, people.len());
    assert_eq!(file_keys(&server).count(), 2);
    server.advance(SEALED_KEPT.saturating_sub(SECOND));
    flows.tend_keys().await.unwrap();
    assert_eq!(file_keys(&server).count(), 2);
    server.advance(SECOND);
    flows.tend_keys().await.unwrap();
    assert_eq!(file_keys(&server).count(), 1);
    assert_eq!(states(&server, KeyKind::Sealing).await, [KeyState::InUse]);
    for (client, tokens) in &mut people {
        *tokens = refreshed(client, tokens).await;
    }
    all_go_on(&server, &mut people).await;
    all_go_on(&server.restart().await, &mut people).await;
}

/// RS-12, SEC-08, AT-08
#[tokio::test]
async fn a_session_with_a_server_goes_on_through_both_rotations() {
    let server = on_disk().start().await;
    let client = server.client().await;
    let tokens = client.sign_in("mona").await;
    let opened = client.initialize(&tokens.access).await;
    let session = opened.header("mcp-session-id").to_owned();
    let flows = server.app.flows();
    flows.rotate_signing_key().await.unwrap();
    flows.rotate_sealing_key().await.unwrap();
    server.advance(PUBLISHED_BEFORE);
    flows.tend_keys().await.unwrap();
    let fresh = refreshed(&client, &tokens).await;
    assert_ne!(kid(&fresh), kid(&tokens));
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let answer = client.call(&fresh.access, &session, &initialized).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    for access in [&tokens.access, &fresh.access] {
        let list = message("tools/list", &json!({}));
        let answer = client.call(access, &session, &list).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let key = |server: &Server| server.app.flows().marks.key_for(Purpose::McpSession);
    assert_eq!(key(&server.restart().await), key(&server));
}

/// SEC-08
#[tokio::test]
async fn who_is_signing_in_or_asks_again_during_a_rotation_comes_through() {
    let server = on_disk().start().await;
    let client = server.client().await;
    let other = client.sign_in("hubot").await;
    let fresh = refreshed(&client, &other).await;
    // one reads the consent page, one is at the provider, one has a code
    let (mut reading, mut away) = (server.browser(), server.browser());
    let page = reading.open(&client.authorization_url()).await;
    let agreed = away.open(&client.authorization_url()).await;
    let provider = away.approve(&agreed).await;
    let code = client.code("octavia").await;

    server.app.flows().rotate_sealing_key().await.unwrap();
    server.app.flows().tend_keys().await.unwrap();

    let again = refreshed(&client, &other).await;
    assert_eq!(again.refresh, fresh.refresh);
    let provider_too = reading.approve(&page).await;
    for (browser, provider) in [(&mut reading, provider_too), (&mut away, provider)] {
        let back = browser.choose(&provider, Some("mona")).await;
        let answer = browser.get(back.as_str()).await;
        let code = client.read_code(&answer.location());
        let tokens = Tokens::read(&client.redeem(&code).await);
        assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
    }
    let tokens = Tokens::read(&client.redeem(&code).await);
    assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
}

/// SEC-08
#[tokio::test]
async fn a_rotation_that_broke_off_goes_on_in_the_next_process() {
    // how many grants were sealed anew before
    for done in [0, 1, 2, 3] {
        let server = on_disk().start().await;
        let mut people = people(&server).await;
        let file = server.world.key_file().unwrap();
        let keys = file_keys(&server).rotated(NOW);
        file.write(&keys).unwrap();
        let sealer = Sealer::new(&keys);
        for grant in grants(&server).await.into_iter().take(done) {
            let context = grant.subject().as_str().as_bytes();
            let tokens = sealer.reseal(Purpose::UpstreamTokens, context, &grant.tokens);
            let tokens = tokens.unwrap().unwrap();
            let after = Grant {
                tokens,
                ..grant.clone()
            };
            let store = &server.world.store;
            assert!(store.change_grant(&grant, after, NOW).await.unwrap());
        }
        let next = server.restart().await;
        assert_eq!(sealed_anew(&next).await, done);
        all_go_on(&next, &mut people).await;
        next.app.flows().tend_keys().await.unwrap();
        assert_eq!(sealed_anew(&next).await, people.len());
        // ... and once more before the old key has gone
        let last = next.restart().await;
        last.advance(SEALED_KEPT);
        last.app.flows().tend_keys().await.unwrap();
        assert_eq!(file_keys(&last).count(), 1, "{done}");
        for (client, tokens) in &mut people {
            *client = client.moved_to(&last);
            *tokens = refreshed(client, tokens).await;
        }
        all_go_on(&last.restart().await, &mut people).await;
    }
}

/// SEC-08
#[tokio::test]
async fn a_process_takes_up_what_it_wrote_and_never_drops_the_key_that_it_seals_with() {
    let server = on_disk().start().await;
    let mut people = people(&server).await;
    let file = server.world.key_file().unwrap();
    // written, and then whoever asked for it was gone
    file.write(&file_keys(&server).rotated(NOW)).unwrap();
    server.advance(SEALED_KEPT);
    let flows = server.app.flows();
    flows.tend_keys().await.unwrap();
    assert_eq!(sealed_anew(&server).await, people.len());
    // somebody may be about to keep what was sealed a moment ago
    assert_eq!(file_keys(&server).count(), 2);
    flows.tend_keys().await.unwrap();
    assert_eq!(file_keys(&server).count(), 1);
    for (client, tokens) in &mut people {
        *tokens = refreshed(client, tokens).await;
    }
    all_go_on(&server.restart().await, &mut people).await;

    // another file altogether: nothing is done with it
    let own = std::fs::read(file.path()).unwrap();
    std::fs::remove_file(file.path()).unwrap();
    file.read_or_make().unwrap();
    for refused in [
        flows.rotate_sealing_key().await.err(),
        flows.tend_keys().await.err(),
    ] {
        let is_right = matches!(
            refused,
            Some(KeyChangeError::Seal(SealError::OtherKeyFile(_)))
        );
        assert!(is_right, "{refused:?}");
    }
    std::fs::write(file.path(), own).unwrap();
    flows.rotate_sealing_key().await.unwrap();
    all_go_on(&server.restart().await, &mut people).await;
}

/// SEC-08, CONS-15
#[tokio::test]
async fn a_file_of_sealing_keys_that_is_gone_is_written_again_before_its_keys_are_lost() {
    let (log, _guard) = Log::listen("info");
    let server = on_disk().start().await;
    let mut people = people(&server).await;
    let flows = server.app.flows();
    let path = server.world.key_file().unwrap().path().to_owned();
    flows.tend_keys().await.unwrap();
    for rotated in [false, true] {
        if rotated {
            // nothing has been seen of the new key but its making
            flows.rotate_sealing_key().await.unwrap();
        }
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        flows.tend_keys().await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        assert!(
            log.text()
                .contains("its file was gone, and is written again")
        );
        all_go_on(&server.restart().await, &mut people).await;
    }
    // a link to what is gone is somebody's wish, and left alone
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/nowhere/sealing.key", &path).unwrap();
    let refused = flows.tend_keys().await.unwrap_err();
    assert!(refused.to_string().contains("do not restart"), "{refused}");
}

/// SEC-08
#[tokio::test]
async fn older_keys_beside_one_without_a_date_stay_for_their_time() {
    let server = on_disk().start().await;
    let file = server.world.key_file().unwrap();
    let own = std::fs::read_to_string(file.path()).unwrap();
    // written there by hand
    let by_hand = format!("{}\n{own}", STANDARD.encode([7; 32]));
    std::fs::write(file.path(), by_hand).unwrap();
    let next = server.restart().await;
    let flows = next.app.flows();
    for _ in 0..3 {
        flows.tend_keys().await.unwrap();
        assert_eq!(file_keys(&next).count(), 2);
        assert_eq!(file_keys(&next).current().1, Some(NOW));
    }
    next.advance(SEALED_KEPT);
    flows.tend_keys().await.unwrap();
    assert_eq!(file_keys(&next).count(), 1);
}

/// AT-08, SEC-16
#[tokio::test]
async fn a_rotation_that_the_store_fails_is_told_and_the_next_one_is_the_same() {
    let (server, store) = unsteady().await;
    let flows = server.app.flows();
    let before = kids(&server).await;
    for verb in ["find_key", "change_key"] {
        store.order(verb, Trouble::Fails);
        assert!(flows.rotate_signing_key().await.is_err());
        store.heal();
        flows.tend_keys().await.unwrap();
        assert_eq!(kids(&server).await, before);
    }
    // it is made, and nobody was told
    store.order("change_key", Trouble::LosesTheAnswer);
    assert!(flows.rotate_signing_key().await.is_err());
    store.heal();
    let made = flows.rotate_signing_key().await.unwrap();
    assert_eq!(kids(&server).await, [before, vec![made.id]].concat());
}

/// SEC-08, SEC-16
#[tokio::test]
async fn what_the_store_did_not_let_be_sealed_anew_keeps_its_key() {
    let (server, store) = unsteady().await;
    let mut people = people(&server).await;
    let flows = server.app.flows();
    flows.rotate_sealing_key().await.unwrap();
    server.advance(SEALED_KEPT);
    let troubles = [Trouble::Fails, Trouble::LosesTheAnswer];
    for verb in ["find_key", "change_key", "list_grants", "change_grant"] {
        for trouble in troubles {
            store.order(verb, trouble);
            let tended = flows.tend_keys().await;
            assert!(tended.is_err() || verb == "change_key", "{verb}");
            store.heal();
            assert_eq!(file_keys(&server).count(), 2, "{verb} {trouble:?}");
            sealed_anew(&server).await;
        }
    }
    flows.tend_keys().await.unwrap();
    assert_eq!(sealed_anew(&server).await, people.len());
    assert_eq!(file_keys(&server).count(), 1);
    for (client, tokens) in &mut people {
        *tokens = refreshed(client, tokens).await;
    }
    all_go_on(&server.restart().await, &mut people).await;
}

/// SEC-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_goes_on_with_a_rotation_by_itself() {
    let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let place = Place::new(&standin.base_url());
    let serve = || {
        let mut process = place.start("info");
        assert!(process.wait_until_it_serves(), "{}", place.logged());
        process
    };
    serve().kill();
    let file = KeyFile::in_dir(&place.data());
    let keys = file.read().unwrap().unwrap();
    // replaced long ago
    file.write(&keys.rotated(UnixTime(0))).unwrap();
    let process = serve();
    let is_done = async {
        while file.read().unwrap().unwrap().count() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), is_done).await;
    assert!(done.is_ok(), "{}", place.logged());
    process.kill();
    serve().kill();
}

/// SEC-08
#[tokio::test]
async fn where_the_file_cannot_be_written_nothing_changes() {
    let server = on_disk().start().await;
    let mut people = people(&server).await;
    let file = server.world.key_file().unwrap();
    let before = std::fs::read(file.path()).unwrap();
    // in the way of the draft, and not to be removed
    let draft = file.path().with_file_name("sealing.key.new");
    std::fs::create_dir(&draft).unwrap();
    let refused = server.app.flows().rotate_sealing_key().await.unwrap_err();
    assert!(refused.to_string().contains("sealing.key"), "{refused}");
    assert_eq!(std::fs::read(file.path()).unwrap(), before);
    all_go_on(&server, &mut people).await;
    all_go_on(&server.restart().await, &mut people).await;
    std::fs::remove_dir(&draft).unwrap();
    server.app.flows().rotate_sealing_key().await.unwrap();
}

/// SEC-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealing_keys_rotated_at_once_are_all_kept_until_nothing_needs_them() {
    let server = on_disk().start().await;
    let mut people = people(&server).await;
    let mut rotating = JoinSet::new();
    for _ in 0..20 {
        let flows = server.app.flows().clone();
        rotating.spawn(async move {
            let rotated = flows.rotate_sealing_key().await;
            flows.tend_keys().await.unwrap();
            rotated.is_ok()
        });
    }
    let made = rotating.join_all().await;
    // more than 16 are of no use to anybody
    assert_eq!(made.into_iter().filter(|made| *made).count(), 15);
    assert_eq!(file_keys(&server).count(), 16);
    assert_eq!(known(&server, KeyKind::Sealing).await.len(), 16);
    all_go_on(&server, &mut people).await;
    server.app.flows().tend_keys().await.unwrap();
    assert_eq!(sealed_anew(&server).await, people.len());
    server.advance(SEALED_KEPT);
    let next = server.restart().await;
    next.app.flows().tend_keys().await.unwrap();
    assert_eq!(file_keys(&next).count(), 1);
    for (client, tokens) in &mut people {
        *client = client.moved_to(&next);
        *tokens = refreshed(client, tokens).await;
    }
    all_go_on(&next, &mut people).await;
}

/// SEC-08, AT-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_among_sign_ins_and_refreshes_lose_nobody() {
    let server = on_disk().start().await;
    let mut at_work = JoinSet::new();
    for (turn, person) in ["mona", "hubot", "octavia", "mona"].into_iter().enumerate() {
        let server = server.clone();
        at_work.spawn(async move {
            let client = server.client().await;
            let mut people = Vec::new();
            for _ in 0..3 {
                let mut tokens = client.sign_in(person).await;
                for _ in 0..4 {
                    tokens = refreshed(&client, &tokens).await;
                    assert_eq!(status_at_mcp(&client, &tokens.access).await, 200);
                }
                people.push((client.clone(), tokens));
            }
            assert_eq!(people.len(), 3, "{turn}");
            people
        });
    }
    let flows = server.app.flows();
    let mut people = Vec::new();
    let mut rotations = 0_u32;
    while !at_work.is_empty() {
        let rotate = async {
            flows.rotate_signing_key().await.unwrap();
            flows.rotate_sealing_key().await.unwrap();
            flows.tend_keys().await.unwrap();
            // the first new key signs soon, and no sign-in takes too long
            server.advance(Duration::from_secs(45));
        };
        tokio::select! {
            done = at_work.join_next() => people.extend(done.unwrap().unwrap()),
            () = rotate, if rotations < 12 => rotations += 1,
        }
    }
    assert!(rotations > 0);
    server.advance(LIFE);
    flows.tend_keys().await.unwrap();
    assert_eq!(sealed_anew(&server).await, grants(&server).await.len());
    let next = server.restart().await;
    for (client, tokens) in &mut people {
        *client = client.moved_to(&next);
        *tokens = refreshed(client, tokens).await;
    }
    all_go_on(&next, &mut people).await;
}
