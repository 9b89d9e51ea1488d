package story

import (
	"net/http"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

// A replica leads again with what was on its disk when it last did. What another
// withdrew meanwhile, and replaced, it does not serve, as if it had just been
// superseded.
func TestStoryLeadsAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t, false)
	p.release("app", "1.0.0", "bundle")
	p.apply("app", p.spec("app", nil))
	p.start(0)
	distrusted := p.reached("1.0.0", 0).Status.Artifact.URL

	p.start(1)
	p.procs[0].kill()
	p.reached("1.0.0", 1)
	key := newKey(t, signing.ECDSAP256)
	p.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Verify.Authorities[0] = inline("release-key", key) })
	p.await("app", "it is withdrawn", func(obj *v1alpha1.ModuleSource) bool { return obj.Status.Artifact == nil })
	p.sign("app", p.push("app", "1.1.0", map[string]string{"file": "1.1.0"}), "bundle", key)
	p.annotate("app", "reconcile.fluxcd.io/requestedAt", "now")
	p.reached("1.1.0", 1)

	p.start(0)
	p.procs[1].kill()
	p.reached("1.1.0", 0)
	if code := codeOf(distrusted); code != http.StatusNotFound {
		t.Errorf("expected what was withdrawn not to be found, found %d", code)
	}
}
