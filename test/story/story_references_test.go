package story

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// keyring is the entries of an object with these keys.
func keyring(keys map[string]*signing.Key) map[string]string {
	entries := map[string]string{}
	for name, key := range keys {
		entries[name+".pub"] = string(key.PublicPEM())
	}
	return entries
}

// onlyRead demands that the controller read no Secret or ConfigMap but these:
// that it looked at no other ModuleSource.
func (w *world) onlyRead(names ...string) {
	w.t.Helper()
	for _, name := range w.controller.writes.takeReads() {
		if !slices.Contains(names, name) {
			w.t.Errorf("expected that nothing but %q is read, found %q", names, name)
		}
	}
}

// A key that is removed from what a ModuleSource names withdraws what it signed
// at once, of a suspended one too, and without the registry. A signer who is
// still named keeps the same archive, with new evidence. No other ModuleSource
// is looked at.
func TestStoryKeyIsRemoved(t *testing.T) {
	t.Parallel()
	for kind, holder := range holders {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			staying := newKey(t, signing.Ed25519)
			both := map[string]*signing.Key{"going": w.key, "staying": staying}
			w.change(holder.object("keys", keyring(both)))
			w.change(holder.object("other", keyring(both)))
			going := w.release("going", "1.0.0", "bundle")
			kept := w.push("kept", "1.0.0", versionFile("1.0.0"))
			w.sign("kept", kept, "cosign", staying)
			w.apply("going", w.spec("going", trusts(holder.authority("release-key", "keys"))))
			w.apply("suspended", w.spec("going", trusts(holder.authority("release-key", "keys"))))
			w.apply("kept", w.spec("kept", trusts(holder.authority("release-key", "keys"))))
			w.apply("other", w.spec("going", trusts(holder.authority("release-key", "other"))))
			urls := map[string]string{}
			for _, name := range []string{"going", "suspended", "kept", "other"} {
				urls[name] = w.ready(name).Status.Artifact.URL
			}
			w.edit("suspended", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true })
			w.settled("suspended")
			before := w.get("kept").Status
			w.registry.Down()
			w.controller.writes.takeReads()

			w.change(holder.object("keys", keyring(map[string]*signing.Key{"staying": staying})))
			isWithdrawn := func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact == nil }
			says := []string{going, "no trusted key verifies", fingerprint(staying)}
			w.expect(w.await("suspended", "it is withdrawn", isWithdrawn), expectation{
				conditions: withdrawn("KeyMismatch"), observed: at("1.0.0", going),
				says: map[string][]string{"Verified": says, "ArtifactInStorage": says},
			})
			w.expect(w.await("going", "it is withdrawn", isWithdrawn), expectation{
				conditions: notPolled(withdrawn("KeyMismatch"), "RegistryUnavailable"), observed: at("1.0.0", going),
			})
			w.gone(urls["going"])
			w.gone(urls["suspended"])
			after := w.await("kept", "its evidence is renewed", func(s *v1alpha1.ModuleSource) bool {
				return s.Status.Verification.PolicyHash != before.Verification.PolicyHash
			})
			want := w.released("1.0.0", kept)
			want.signers = []string{signer("release-key", "cosign", staying)}
			w.expect(after, want)
			if diff := cmp.Diff(before.Artifact, after.Status.Artifact); diff != "" {
				t.Errorf("expected the same artifact (-before +after):\n%s", diff)
			}
			w.onlyRead("keys")
			w.expect(w.get("other"), w.released("1.0.0", going))
			w.tells("suspended", "Normal SignatureVerified", "Warning ArtifactWithdrawn")
			w.tells("kept", "Normal SignatureVerified", "Normal SignatureVerified")
			w.tells("other", "Normal SignatureVerified")
		})
	}
}

// A key that is added is enough for a module that it signed.
func TestStoryKeyIsAdded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	other := newKey(t, signing.ECDSAP256)
	w.change(secret("keys", keyring(map[string]*signing.Key{"other": other})))
	w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
	w.expect(w.settled("app"), expectation{conditions: refused("KeyMismatch"), observed: at("1.0.0", digest)})
	w.change(secret("keys", keyring(map[string]*signing.Key{"other": other, "right": w.key})))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
}

// Without the watch, a change is found at the next look.
func TestStoryReferencesAreNotWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{options: func(o *controllers.Options) { o.WatchReferences = false }})
	digest := w.release("app", "1.0.0", "bundle")
	w.change(secret("keys", keyring(map[string]*signing.Key{"right": w.key})))
	w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	w.change(secret("keys", keyring(map[string]*signing.Key{"other": newKey(t, signing.ECDSAP256)})))
	// Another ModuleSource goes all the way meanwhile.
	w.apply("later", w.spec("app", nil))
	w.ready("later")
	w.expect(w.get("app"), w.released("1.0.0", digest))
	w.expect(w.poll("app"), expectation{conditions: withdrawn("KeyMismatch"), observed: at("1.0.0", digest)})
}

// Credentials that are corrected are used at once.
func TestStoryCredentialsAreCorrected(t *testing.T) {
	t.Parallel()
	w, digest := guarded(t, registry.BasicAuth{User: user, Password: password}, &log{})
	w.change(dockerConfig("login", login(w.registry.Host(), wrong)))
	w.apply("app", w.spec("app", pulls("login")))
	w.await("app", "the credentials are refused", func(s *v1alpha1.ModuleSource) bool {
		return is(s, "FetchFailed") == "True/AuthenticationFailed"
	})
	w.change(dockerConfig("login", login(w.registry.Host(), password)))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
}

// forbidding answers reads of an object with 503 while it is on.
type forbidding struct {
	on   atomic.Bool
	path string
}

func (f *forbidding) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if f.on.Load() && strings.HasSuffix(r.URL.Path, f.path) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}
		return next.RoundTrip(r)
	})
}

// What cannot be read is not gone, however long: what was verified stays.
func TestStoryReferenceCannotBeRead(t *testing.T) {
	t.Parallel()
	f := &forbidding{path: "/secrets/keys"}
	w := newWorld(t, settings{api: f.wrap, options: func(o *controllers.Options) { o.TrustGrace = 0 }})
	digest := w.release("app", "1.0.0", "bundle")
	w.change(secret("keys", keyring(map[string]*signing.Key{"right": w.key})))
	w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	f.on.Store(true)
	want := w.released("1.0.0", digest)
	want.conditions = keeping(withoutTrust())
	want.says = map[string][]string{"Verified": {`Secret "keys"`, "the API server did not answer"}}
	w.expect(w.poll("app"), want)
	f.on.Store(false)
	w.expect(w.ready("app"), w.released("1.0.0", digest))
}

// trustWithdrawn are the conditions when what spec.verify names has been gone
// for too long.
func trustWithdrawn() map[string]string { return withdrawn("TrustWithdrawn") }

// Trust material that is gone for longer than the grace is trust withdrawn, and
// a restart does not begin that time anew. When it is back, so is the module.
func TestStoryTrustIsGone(t *testing.T) {
	t.Parallel()
	gone := map[string]struct {
		delete func(w *world)
		says   string
		within map[string]string
	}{
		"Secret":     {func(w *world) { w.delete(secret("keys", nil)) }, "does not exist", keeping(withoutTrust())},
		"last entry": {func(w *world) { w.change(secret("keys", map[string]string{"readme": "none"})) }, "expected an entry whose name ends in .pub", keeping(invalidTrust("InvalidTrust"))},
	}
	for name, tt := range gone {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grace := 10 * time.Minute
			w := newWorld(t, settings{options: func(o *controllers.Options) { o.TrustGrace = grace }})
			digest := w.release("app", "1.0.0", "bundle")
			keys := keyring(map[string]*signing.Key{"right": w.key})
			w.change(secret("keys", keys))
			w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
			w.ready("app")

			tt.delete(w)
			seen := w.await("app", "it is missed", func(s *v1alpha1.ModuleSource) bool { return s.Status.TrustGoneSince != nil })
			want := w.released("1.0.0", digest)
			want.conditions = tt.within
			w.expect(seen, want)

			w.stopController()
			grace = time.Second
			w.start()
			isWithdrawn := w.await("app", "it is withdrawn", func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact == nil })
			w.expect(isWithdrawn, expectation{
				conditions: trustWithdrawn(), observed: at("1.0.0", digest),
				says: map[string][]string{"Verified": {`Secret "keys"`, tt.says, "--trust-grace"}},
			})
			if diff := cmp.Diff(seen.Status.TrustGoneSince, isWithdrawn.Status.TrustGoneSince); diff != "" {
				t.Errorf("expected the time before the restart (-before +after):\n%s", diff)
			}
			w.awaitFiles("nothing is there", nothing)
			w.expect(w.again("app"), expectation{conditions: trustWithdrawn(), observed: at("1.0.0", digest)})

			w.change(secret("keys", keys))
			back := w.ready("app")
			w.expect(back, w.released("1.0.0", digest))
			if back.Status.TrustGoneSince != nil {
				t.Errorf("expected no time since which trust is gone, found %s", back.Status.TrustGoneSince)
			}
		})
	}
}

// The time in which something may be gone ends without anybody asking.
func TestStoryTrustGraceEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{options: func(o *controllers.Options) { o.TrustGrace = 3 * time.Second }})
	digest := w.release("app", "1.0.0", "bundle")
	w.change(configMap("keys", keyring(map[string]*signing.Key{"right": w.key})))
	w.apply("app", w.spec("app", trusts(byConfigMap("release-key", "keys"))))
	w.ready("app")
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true })
	w.settled("app")
	w.delete(configMap("keys", nil))
	w.expect(w.await("app", "it is withdrawn", func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact == nil }),
		expectation{conditions: trustWithdrawn(), observed: at("1.0.0", digest)})
	w.tells("app", "Normal SignatureVerified", "Warning TrustUnavailable", "Warning ArtifactWithdrawn")
}

// Where one of several authorities is gone, those that remain are judged by, as
// far as they suffice.
func TestStoryOneAuthorityIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{options: func(o *controllers.Options) { o.TrustGrace = 0 }})
	second := newKey(t, signing.Ed25519)
	digest := w.release("app", "1.0.0", "bundle")
	w.sign("app", digest, "bundle", second)
	w.change(secret("first", keyring(map[string]*signing.Key{"right": w.key})))
	w.change(secret("second", keyring(map[string]*signing.Key{"right": second})))
	w.apply("one", w.spec("app", trusts(bySecret("first", "first"), bySecret("second", "second"))))
	w.apply("both", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
		trusts(bySecret("first", "first"), bySecret("second", "second"))(s)
		*s.Verify.Threshold = 2
	}))
	w.ready("one")
	w.ready("both")
	w.delete(secret("first", nil))
	w.expect(w.await("both", "it is withdrawn", func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact == nil }), expectation{
		conditions: trustWithdrawn(), observed: at("1.0.0", digest), says: map[string][]string{"Verified": {"expected 2 of 2 authorities, found 1", `Secret "first"`}},
	})
	want := w.released("1.0.0", digest)
	want.signers = []string{signer("second", "bundle", second)}
	want.says = map[string][]string{"Verified": {"not counted: ", `Secret "first"`, "does not exist"}}
	w.expect(w.await("one", "its evidence is renewed", func(s *v1alpha1.ModuleSource) bool {
		return s.Status.Verification != nil && s.Status.Verification.Signatures[0].Authority == "second"
	}), want)

	// What only the missing authority signed is not trusted.
	other := w.release("other", "1.0.0", "bundle")
	w.apply("other", w.spec("other", trusts(bySecret("first", "first"), bySecret("second", "second"))))
	w.expect(w.settled("other"), expectation{conditions: refused("KeyMismatch"), observed: at("1.0.0", other)})
}

// What never was is not withdrawn.
func TestStoryTrustNeverWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{options: func(o *controllers.Options) { o.TrustGrace = 0 }})
	w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
	w.expect(w.settled("app"), expectation{conditions: withoutTrust()})
	w.expect(w.again("app"), expectation{conditions: maps.Clone(withoutTrust())})
}
