package story

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/registry"
)

// notPolled are conditions while the registry does not talk about what was
// judged before.
func notPolled(conditions map[string]string, reason string) map[string]string {
	changed := but(conditions, "FetchFailed", "True/"+reason, "Reconciling", "True/Retrying", "Stalled", "")
	if strings.HasPrefix(conditions["Verified"], "True") {
		changed["Ready"] = "False/" + reason
	}
	return changed
}

var faults = map[string]struct {
	begin  func(s *registry.Server)
	end    func(t *testing.T, s *registry.Server)
	reason string
	says   string
}{
	"down": {
		begin: (*registry.Server).Down, end: up,
		reason: "RegistryUnavailable", says: "connection refused",
	},
	"broken connections": {begin: intercepted(registry.Abort), reason: "RegistryUnavailable", says: "connection closed"},
	"no answer":          {begin: intercepted(registry.Hang), reason: "RegistryUnavailable", says: "no answer in time"},
	"internal error":     {begin: answering(500), reason: "RegistryUnavailable", says: "500 Internal Server Error"},
	"unavailable":        {begin: answering(503), reason: "RegistryUnavailable", says: "503 Service Unavailable"},
	"rate limit":         {begin: answering(429), reason: "RateLimited", says: "429 Too Many Requests"},
	"unauthorized":       {begin: answering(401), reason: "AuthenticationFailed", says: "401 Unauthorized"},
	"forbidden":          {begin: answering(403), reason: "AuthenticationFailed", says: "403 Forbidden"},
}

func up(t *testing.T, s *registry.Server) {
	t.Helper()
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
}

func intercepted(i registry.Interceptor) func(*registry.Server) {
	return func(s *registry.Server) { s.Intercept(i) }
}

// secretBody is what a registry's answer holds and status must not repeat.
const secretBody = `{"errors":[{"code":"DENIED","message":"internal: token=hunter2"}]}`

func answering(status int) func(*registry.Server) {
	return intercepted(registry.Respond(status, nil, []byte(secretBody)))
}

// A registry that does not talk: what is new cannot be judged, what was judged
// keeps its verdict, and everything heals by itself.
func TestStoryRegistryDoesNotTalk(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			good := w.release("good", "1.0.0", "bundle")
			bad := w.push("bad", "1.0.0", nil)
			later := w.release("later", "1.0.0", "cosign")
			quick := func(s *v1alpha1.ModuleSourceSpec) {
				s.Version, s.Timeout = "1.0.0", metav1.Duration{Duration: time.Second}
			}
			w.apply("good", w.spec("good", quick))
			w.apply("bad", w.spec("bad", quick))
			w.expect(w.ready("good"), w.released("1.0.0", good))
			w.expect(w.settled("bad"), expectation{conditions: refused("NoSignature"), observed: at("1.0.0", bad)})

			fault.begin(w.registry)
			w.apply("later", w.spec("later", quick))
			says := func(repo string) []string { return []string{w.repo(repo), "version 1.0.0", fault.says} }

			published := w.released("1.0.0", good)
			published.conditions = notPolled(published.conditions, fault.reason)
			published.says = map[string][]string{"FetchFailed": says("good"), "Ready": says("good"), "Verified": {"is signed by"}}
			w.expect(w.poll("good"), published)
			w.expect(w.again("good"), published)
			w.expect(w.poll("bad"), expectation{
				conditions: notPolled(refused("NoSignature"), fault.reason), observed: at("1.0.0", bad),
				says: map[string][]string{"FetchFailed": says("bad"), "Ready": {"found none"}},
			})
			w.again("bad")
			w.expect(w.settled("later"), expectation{
				conditions: unreachable(fault.reason), says: map[string][]string{"FetchFailed": says("later"), "Ready": says("later"), "Verified": says("later")},
			})
			w.again("later")
			if text := w.asText("good") + w.asText("bad") + w.asText("later"); strings.Contains(text, "hunter2") {
				t.Errorf("expected nothing of the registry's answer, found it in\n%s", text)
			}

			w.registry.Intercept(nil)
			if fault.end != nil {
				fault.end(t, w.registry)
			}
			w.expect(w.ready("good"), w.released("1.0.0", good))
			w.expect(w.ready("later"), w.released("1.0.0", later))
			stalled := w.await("bad", "it is polled", func(s *v1alpha1.ModuleSource) bool { return is(s, "FetchFailed") == "" })
			w.expect(stalled, expectation{conditions: refused("NoSignature"), observed: at("1.0.0", bad)})

			w.told(w.tells("good", "Normal SignatureVerified", "Warning "+fault.reason, "Normal SignatureVerified")[:2], fault.says)
			w.told(w.tells("later", "Warning "+fault.reason, "Normal SignatureVerified")[:1], fault.says)
			w.tells("bad", "Warning NoSignature")
		})
	}
}

// While polling fails, other edits change nothing about that a retry is on its
// way; suspended, it is not.
func TestStoryEditWhileRegistryIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", versioned("1.0.0")))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	w.registry.Down()
	want := w.released("1.0.0", digest)
	want.conditions = notPolled(published(), "RegistryUnavailable")
	w.expect(w.poll("app"), want)
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Interval.Duration = 2 * time.Hour })
	w.expect(w.settled("app"), want)

	w.edit("app", suspend)
	suspended := w.released("1.0.0", digest)
	suspended.conditions = but(want.conditions, "Reconciling", "")
	w.expect(w.settled("app"), suspended)
	w.expect(w.again("app"), suspended)
	up(t, w.registry)
	w.edit("app", resume)
	w.expect(w.settled("app"), w.released("1.0.0", digest))
	w.tells("app", "Normal SignatureVerified", "Warning RegistryUnavailable", "Normal SignatureVerified")
}

// lookups are where signatures are looked for, by kind of registry.
var lookups = map[string]struct {
	kind string
	is   func(*http.Request) bool
}{
	"cosign tag":       {"referrers", func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".sig") }},
	"referrers API":    {"referrers", func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/referrers/") }},
	"no referrers API": {"distribution", func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/referrers/") }},
	"fallback tag": {"distribution", func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/manifests/sha256-") && !strings.HasSuffix(r.URL.Path, ".sig")
	}},
}

// An error at one of the places where signatures are is never taken for "not
// signed", nor is the other place enough.
func TestStorySignaturesCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		answer registry.Interceptor
		reason string
	}{
		"500":     {registry.Respond(500, nil, nil), "RegistryUnavailable"},
		"429":     {registry.Respond(429, nil, nil), "RateLimited"},
		"403":     {registry.Respond(403, nil, nil), "AuthenticationFailed"},
		"nothing": {registry.Abort, "RegistryUnavailable"},
	}
	for place, lookup := range lookups {
		for name, fault := range answers {
			t.Run(place+" answers "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, settings{kind: lookup.kind})
				first := w.release("app", "1.0.0", "cosign")
				w.apply("app", w.spec("app", versioned("1.x")))
				w.ready("app")

				// Signed in both formats, and not at all.
				second := w.release("app", "1.1.0", "cosign")
				w.sign("app", second, "bundle", w.key)
				unsigned := w.push("unsigned", "1.0.0", nil)
				w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
					if lookup.is(r) {
						fault.answer(rw, r, next)
						return
					}
					next.ServeHTTP(rw, r)
				})
				if lookup.kind == "distribution" && place == "no referrers API" {
					// It is known by now that there is none.
					w.stopController()
					w.start()
				}
				w.apply("unsigned", w.spec("unsigned", versioned("1.0.0")))

				found := w.poll("app")
				w.expect(found, expectation{
					conditions: keeping(unreachable(fault.reason)), observed: at("1.1.0", second), artifact: at("1.0.0", first),
					files: withVendor(versionFile("1.0.0")),
				})
				w.again("app")
				w.expect(w.settled("unsigned"), expectation{conditions: unreachable(fault.reason), observed: at("1.0.0", unsigned)})

				w.registry.Intercept(nil)
				w.expect(w.ready("app"), w.released("1.1.0", second))
				judged := w.await("unsigned", "it is judged", func(s *v1alpha1.ModuleSource) bool { return is(s, "FetchFailed") == "" })
				w.expect(judged, expectation{conditions: refused("NoSignature"), observed: at("1.0.0", unsigned)})
				w.tells("app", "Normal SignatureVerified", "Warning "+fault.reason, "Normal SignatureVerified")
				w.tells("unsigned", "Warning "+fault.reason, "Warning NoSignature")
			})
		}
	}
}

// A registry that says for how long it wants to be left alone is left alone for
// that long, although the first retry would come sooner.
func TestStoryRetryAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	var mu sync.Mutex
	var refusedAt, askedAt time.Time
	w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Method != http.MethodHead:
			next.ServeHTTP(rw, r)
		case refusedAt.IsZero():
			refusedAt = time.Now()
			registry.Respond(429, http.Header{"Retry-After": {"5"}}, nil)(rw, r, next)
		default:
			askedAt = time.Now()
			next.ServeHTTP(rw, r)
		}
	})
	w.apply("app", w.spec("app", versioned("1.0.0")))
	w.expect(w.settled("app"), expectation{conditions: unreachable("RateLimited"), says: map[string][]string{"FetchFailed": {w.repo("app"), "429 Too Many Requests"}}})
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	mu.Lock()
	defer mu.Unlock()
	if waited := askedAt.Sub(refusedAt); waited < 5*time.Second {
		t.Errorf("expected it to be left alone for 5s, found the next request after %s", waited)
	}
	w.tells("app", "Warning RateLimited", "Normal SignatureVerified")
}

// What is asked for and is not there is said as such.
func TestStoryNotFound(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		w.release("app", "1.0.0", "cosign")
		absent := "sha256:" + strings.Repeat("0", 64)
		rows := map[string]struct {
			repo   string
			edit   func(*v1alpha1.ModuleSourceSpec)
			reason string
			says   []string
		}{
			"repository":        {"nothing/here", versioned("1.0.0"), "RepositoryNotFound", []string{w.repo("nothing/here"), "does not know the repository"}},
			"repository-range":  {"nothing/here", versioned("1.x"), "RepositoryNotFound", []string{w.repo("nothing/here"), "does not know the repository"}},
			"repository-digest": {"nothing/here", pinned(absent), "RepositoryNotFound", []string{w.repo("nothing/here"), "does not know the repository"}},
			"version":           {"app", versioned("1.0.1"), "VersionNotFound", []string{w.repo("app"), "has no version 1.0.1"}},
			"range":             {"app", versioned("2.x"), "VersionNotFound", []string{w.repo("app"), "matches version 2.x", "found none"}},
			"tag":               {"app", func(s *v1alpha1.ModuleSourceSpec) { s.Tag = "edge" }, "VersionNotFound", []string{w.repo("app"), "has no tag edge"}},
			"digest":            {"app", pinned(absent), "VersionNotFound", []string{w.repo("app"), "has no digest " + absent}},
		}
		for name, row := range rows {
			w.apply(name, w.spec(row.repo, row.edit))
		}
		for name, row := range rows {
			w.expect(w.settled(name), expectation{conditions: unreachable(row.reason), says: map[string][]string{
				"Verified": row.says, "FetchFailed": row.says, "Reconciling": row.says, "Ready": row.says,
			}})
			w.again(name)
			w.told(w.tells(name, "Warning "+row.reason), row.says...)
		}
	})
}

// It is pushed at last: a retry finds it.
func TestStoryFoundLater(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		w.apply("app", w.spec("app", versioned("1.0.0")))
		w.expect(w.settled("app"), expectation{conditions: unreachable("RepositoryNotFound")})
		digest := w.release("app", "1.0.0", "bundle")
		w.expect(w.poll("app"), w.released("1.0.0", digest))
	})
}

func pinned(digest string) func(*v1alpha1.ModuleSourceSpec) {
	return func(s *v1alpha1.ModuleSourceSpec) { s.Digest = digest }
}
