package source

import (
	"strings"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/test/module"
)

// A pin is compared with what is published, too: that nothing changed is no
// answer where something else is wanted.
func TestPinOfWhatIsPublished(t *testing.T) {
	b := newBench(t)
	digest := b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	request := b.request("1.0.0", "sha256:"+strings.Repeat("ab", 32))
	request.Current = registry.Revision{Version: "1.0.0", Digest: digest}
	o, err := b.syncer.Sync(t.Context(), request)
	if e := asError(t, err); e.Kind != Refused || e.Reason != v1alpha1.ReasonDigestMismatch {
		t.Errorf("found %+v", e)
	}
	if o.Unchanged || o.Published != (artifact.Published{}) || !o.Verified.IsZero() {
		t.Errorf("found %+v", o)
	}
}
