package story

import (
	"testing"

	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/signing"
)

// verdicts is what a person tries first: each way in which a module can be
// signed or not, and what is said about it.
var verdicts = map[string]struct {
	sign func(w *world, digest string)
	// signer is the format that is accepted; "" where it is refused.
	signer string
	reason string
	says   []string
}{
	"signed in v2 format": {
		sign:   func(w *world, digest string) { w.sign("app", digest, "cosign", w.key) },
		signer: "cosign",
	},
	"signed as bundle": {
		sign:   func(w *world, digest string) { w.sign("app", digest, "bundle", w.key) },
		signer: "bundle",
	},
	"signed in both formats": {
		sign: func(w *world, digest string) {
			w.sign("app", digest, "bundle", w.key)
			w.sign("app", digest, "cosign", w.key)
		},
		signer: "bundle", // The one that sorts first.
	},
	"signed by others too": {
		sign: func(w *world, digest string) {
			other := newKey(w.t, signing.ECDSAP256)
			w.sign("app", digest, "cosign", other)
			w.sign("app", digest, "bundle", other)
			w.sign("app", digest, "bundle", w.key)
		},
		signer: "bundle",
	},
	"not signed": {
		sign:   func(*world, string) {},
		reason: "NoSignature",
		says:   []string{"expected a signature by release-key (key ", "found none"},
	},
	"attested only": {
		sign: func(w *world, digest string) {
			statement := signing.Statement{Digest: digest, PredicateType: "https://spdx.dev/Document"}
			if err := signing.SignStatement(background, w.repo("app")+"@"+digest, statement, w.key); err != nil {
				w.t.Fatal(err)
			}
		},
		reason: "NoSignature",
		says:   []string{"expected a signature by release-key (key ", "found none"},
	},
	"signed with another key in v2 format": {
		sign:   func(w *world, digest string) { w.sign("app", digest, "cosign", newKey(w.t, signing.ECDSAP256)) },
		reason: "KeyMismatch",
		says:   []string{"expected a signature by release-key (key ", "found 1 signature that no trusted key verifies"},
	},
	"signed with another key as bundle": {
		sign:   func(w *world, digest string) { w.sign("app", digest, "bundle", newKey(w.t, signing.Ed25519)) },
		reason: "KeyMismatch",
		says:   []string{"expected a signature by release-key (key ", "found 1 signature that no trusted key verifies"},
	},
	"signature copied in v2 format": {
		sign:   copied("cosign"),
		reason: "SignatureInvalid",
		says:   []string{"expected a signature over this digest", "found 1 signature by a trusted key over something else", "copied from another digest"},
	},
	"signature copied as bundle": {
		sign:   copied("bundle"),
		reason: "SignatureInvalid",
		says:   []string{"expected a signature over this digest", "found 1 signature by a trusted key over something else", "copied from another digest"},
	},
}

// copied signs another module with the right key, and copies that signature.
func copied(format string) func(w *world, digest string) {
	return func(w *world, digest string) {
		signed := w.push("app", "0.9.0", nil)
		w.sign("app", signed, format, w.key)
		if err := signing.CopySignature(background, w.repo("app")+"@"+signed, w.repo("app")+"@"+digest); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestStoryVerdict(t *testing.T) {
	t.Parallel()
	for name, row := range verdicts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachRegistry(t, func(t *testing.T, w *world) {
				digest := w.push("app", "1.0.0", nil)
				row.sign(w, digest)
				w.apply("app", w.spec("app", versioned("1.0.0")))
				obj := w.settled("app")

				if row.signer == "" {
					w.expect(obj, expectation{
						conditions: refused(row.reason), observed: at("1.0.0", digest),
						says: map[string][]string{"Verified": append(row.says, digest), "Ready": append(row.says, digest)},
					})
					w.again("app")
					w.told(w.tells("app", "Warning "+row.reason), append(row.says, digest)...)
					return
				}
				w.expect(obj, expectation{
					conditions: published(), observed: at("1.0.0", digest), artifact: at("1.0.0", digest),
					signers: []string{signer("release-key", row.signer, w.key)},
					says:    map[string][]string{"Verified": {digest, "release-key", fingerprint(w.key)}, "Ready": {at("1.0.0", digest)}},
				})
				w.again("app")
				w.told(w.tells("app", "Normal SignatureVerified"), at("1.0.0", digest), "release-key", fingerprint(w.key))
			})
		})
	}
}

// Every kind of key that Cosign makes, and both ways to use those that have
// two, are taken from one policy that names them all.
func TestStoryEveryKindOfKey(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		var keys []*signing.Key
		for _, kind := range signing.Kinds() {
			keys = append(keys, newKey(t, kind))
		}
		for i, key := range keys {
			repo := string(signing.Kinds()[i])
			digest := w.push(repo, "1.0.0", nil)
			w.sign(repo, digest, format, key)
			spec := w.spec(repo, versioned("1.0.0"))
			spec.Verify.Authorities[0] = inline("release-key", keys...)
			w.apply(repo, spec)
			w.expect(w.settled(repo), expectation{
				conditions: published(), observed: at("1.0.0", digest), artifact: at("1.0.0", digest),
				signers: []string{signer("release-key", format, key)},
			})
		}
	})
}

// A version that may move and is pushed again, without a signature: what was
// verified stays, until the new one is signed.
func TestStoryVersionPushedAgain(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		first := w.push("app", "1.0.0", nil)
		w.sign("app", first, format, w.key)
		w.apply("app", w.spec("app", mutable("1.0.0")))
		before := w.ready("app")

		files := map[string]string{"timoni.cue": "package main\n// newer\n"}
		second := w.push("app", "1.0.0", files)
		w.expect(w.poll("app"), expectation{
			conditions: keeping(refused("NoSignature")), observed: at("1.0.0", second), artifact: at("1.0.0", first),
			says: map[string][]string{"Verified": {second, "found none"}, "ArtifactInStorage": {at("1.0.0", first)}},
		})
		refusedOnce := w.again("app")
		if diff := refusedOnce.Status.Artifact.Digest; diff != before.Status.Artifact.Digest {
			t.Errorf("expected the archive %s to stay, found %s", before.Status.Artifact.Digest, diff)
		}

		w.sign("app", second, format, w.key)
		w.expect(w.poll("app"), expectation{
			conditions: published(), observed: at("1.0.0", second), artifact: at("1.0.0", second), files: withVendor(files),
			signers: []string{signer("release-key", format, w.key)},
		})
		w.again("app")
		events := w.tells("app", "Normal SignatureVerified", "Warning NoSignature", "Normal SignatureVerified")
		w.told(events[:1], at("1.0.0", first))
		w.told(events[:2], second)
		w.told(events, at("1.0.0", second))
	})
}

// A signed old module under a higher version: the signature is right, the
// version is not.
func TestStoryOldModuleUnderHigherVersion(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		old := w.push("app", "1.0.0", nil)
		w.sign("app", old, format, w.key)
		current := w.push("app", "1.5.0", map[string]string{"timoni.cue": "package main\n"})
		w.sign("app", current, format, w.key)
		w.apply("app", w.spec("app", versioned("*")))
		w.ready("app")

		w.pushAs("app", "6.9.9", module.Options{Version: "1.0.0"})
		want := expectation{
			conditions: keeping(refused("VersionMismatch")), observed: at("6.9.9", old), artifact: at("1.5.0", current),
			files: withVendor(map[string]string{"timoni.cue": "package main\n"}),
			says:  map[string][]string{"Verified": {at("6.9.9", old), "expected version 6.9.9", `found "1.0.0"`}},
		}
		w.expect(w.poll("app"), want)
		w.expect(w.again("app"), want)
		w.told(w.tells("app", "Normal SignatureVerified", "Warning VersionMismatch"), at("6.9.9", old), `found "1.0.0"`)
	})
}
