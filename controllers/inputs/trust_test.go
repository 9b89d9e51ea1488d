package inputs

import (
	"strings"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// The API server asks for a name. Where it did not, the reference is wrong, and
// is not one to the controller's own root.
func TestTrustedRootRefWithoutAName(t *testing.T) {
	field := "verify.authorities[0].trustedRootRef"
	for _, kind := range []string{"", "ConfigMap", "Secret"} {
		roots := &trustedRoots{}
		root, err := roots.get(t.Context(), field, &v1alpha1.TrustedRootReference{Kind: kind})
		if root != nil || err == nil || err.Reason != v1alpha1.ReasonInvalidSpec ||
			!strings.Contains(err.Message, field+".name: expected the name of a ConfigMap or Secret, found none") {
			t.Errorf("kind %q: expected %s that names the field, found %v, %+v", kind, v1alpha1.ReasonInvalidSpec, root, err)
		}
	}
}
