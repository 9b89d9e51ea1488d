package story

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/registry"
)

// TestRetryAfterHoldsForTheWholeRegistry has one ModuleSource told to come again
// later, wherever: no other asks that registry until then, whatever is edited,
// nor is anything the matter with it. Those of other registries go on.
func TestRetryAfterHoldsForTheWholeRegistry(t *testing.T) {
	t.Parallel()
	places := map[string]struct {
		auth   registry.Auth
		method string
		kind   string
		code   int
		reason string
	}{
		"at the ping":              {nil, http.MethodGet, registry.KindPing, 503, "RegistryUnavailable"},
		"at the token server":      {&registry.TokenAuth{}, http.MethodGet, registry.KindToken, 429, "RateLimited"},
		"at the first request":     {nil, http.MethodHead, registry.KindManifests, 429, "RateLimited"},
		"where the signatures are": {nil, http.MethodGet, registry.KindReferrers, 503, "RegistryUnavailable"},
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const many = 20
			w := newWorld(t, settings{registry: registry.Options{Auth: place.auth}})
			other, err := registry.Referrers(registry.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Close() })
			w.sign("app", w.push("app", "1.0.0", nil), "bundle", w.key)
			signAt(t, other, "app", pushTo(t, other, "app"), "bundle", w.key)
			var told atomic.Bool
			w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				kind := registry.Request{Path: r.URL.Path}.Kind()
				if byController(r) && r.Method == place.method && kind == place.kind && told.CompareAndSwap(false, true) {
					registry.Respond(place.code, http.Header{"Retry-After": {"15"}}, nil)(rw, r, next)
					return
				}
				next.ServeHTTP(rw, r)
			})
			exact := func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }
			w.apply("told", w.spec("app", exact))
			if obj := w.settled("told"); is(obj, "Ready") != "False/"+place.reason {
				t.Errorf("expected it to be told, found %s", describe(obj))
			}
			w.registry.Reset()
			for i := range many {
				w.apply(fmt.Sprintf("waits-%d", i), w.spec("app", exact))
			}
			w.edit("told", func(s *v1alpha1.ModuleSourceSpec) { s.Timeout.Duration *= 2 })
			w.edit("waits-0", func(s *v1alpha1.ModuleSourceSpec) { s.Tag, s.Version = "1.0.0", "" })
			w.apply("elsewhere", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
				exact(s)
				s.URL = "oci://" + other.Host() + "/app"
			}))
			w.ready("elsewhere") // Which came last: the others have been looked at, or are not reached at all.
			if n := len(w.registry.Requests()); n != 0 {
				t.Errorf("expected the registry to be left alone, found %d requests: %v", n, w.registry.Counts())
			}
			for i := range many {
				if obj := w.get(fmt.Sprintf("waits-%d", i)); len(obj.Status.Conditions) != 0 {
					t.Errorf("waits-%d: expected nothing to be said yet, found %s", i, describe(obj))
				}
			}
			for i := range many {
				w.ready(fmt.Sprintf("waits-%d", i))
			}
			w.ready("told")
		})
	}
}
