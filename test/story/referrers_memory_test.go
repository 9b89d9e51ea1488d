package story

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/registry"
)

// TestReferrersAPIOfOneRepositoryOnly has a registry that passes some
// repositories on to another one without a referrers API. What it answers for
// those must not make the signed modules beside them look unsigned.
func TestReferrersAPIOfOneRepositoryOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{kind: "referrers"})
	w.registry.Intercept(registry.On(http.MethodGet, registry.KindReferrers, func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/v2/without/") {
			http.NotFound(rw, r)
			return
		}
		next.ServeHTTP(rw, r)
	}))
	exact := func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }
	w.push("without", "1.0.0", nil)
	w.apply("without", w.spec("without", exact))
	wantConditions(t, w.settled("without"), map[string]string{"Verified": "False/NoSignature"})

	w.sign("with", w.push("with", "1.0.0", nil), "bundle", w.key)
	w.apply("with", w.spec("with", exact))
	wantConditions(t, w.settled("with"), map[string]string{"Verified": "True/SignatureVerified", "Ready": "True/SignatureVerified"})
}
