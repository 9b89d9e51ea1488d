package registry

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	testregistry "github.com/assay-dev/assay/test/registry"
)

// What is no array is no list, and not an empty one.
func TestListsThatAreNone(t *testing.T) {
	for _, value := range []string{`"x"`, `{}`, `1`, `true`} {
		if m := readManifest([]byte(`{"layers":` + value + `}`)); m != nil {
			t.Errorf("%s: expected no manifest, found %+v", value, m)
		}
		if index := readIndex([]byte(`{"manifests":` + value + `}`)); index != nil {
			t.Errorf("%s: expected no index, found %+v", value, index)
		}
	}
	if readManifest([]byte(`{"layers":null}`)) == nil || readIndex([]byte(`{"manifests":null}`)) == nil {
		t.Error("expected null to be an empty list")
	}
}

// A list that is cut is never judged as if it were whole: a signature beyond the
// cut would look like none.
func TestListsThatAreCut(t *testing.T) {
	const imageManifest, bundleType = "application/vnd.oci.image.manifest.v1+json", "application/vnd.dev.sigstore.bundle.v0.3+json"
	sig, referrers := "manifests/sha256-"+otherDigest[7:]+".sig", "referrers/"+otherDigest
	others := slices.Repeat([]map[string]any{{"mediaType": "application/x", "digest": otherDigest, "size": 1}}, maxManifestLayers)
	tests := map[string]struct {
		prepare func(a answers)
		reason  Reason
	}{
		"as many layers under .sig as are read": {func(a answers) { a[sig] = manifestOf(others...) }, ""},
		"one more": {func(a answers) {
			a[sig] = manifestOf(append(slices.Clip(others), a.put("blobs", simpleSigningMediaType, "x"))...)
		}, TooManySignatures},
		"as many layers of a bundle as are read": {func(a answers) {
			a[referrers] = indexOf(a.put("manifests", imageManifest, manifestOf(others...)))
		}, ""},
		"one more of a bundle": {func(a answers) {
			layers := append(slices.Clip(others), a.put("blobs", bundleType, "{}"))
			a[referrers] = indexOf(a.put("manifests", imageManifest, manifestOf(layers...)))
		}, TooManySignatures},
		"too many of both together": {func(a answers) {
			var all []map[string]any
			for i := range verify.MaxSignatures { // Which are not there: nobody asks for them.
				all = append(all, map[string]any{"mediaType": imageManifest, "digest": fmt.Sprintf("sha256:%064x", i), "size": 2})
			}
			a[sig] = manifestOf(a.put("blobs", simpleSigningMediaType, "x"))
			a[referrers] = indexOf(all...)
		}, TooManySignatures},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := answers{}
			tt.prepare(a)
			server := start(t, "referrers", testregistry.Options{})
			server.Intercept(a.intercept)
			found, err := client(t, newPool(t), server, "app").Signatures(t.Context(), otherDigest)
			wantReason(t, err, tt.reason)
			if len(found) != 0 {
				t.Errorf("expected no signatures, found %d", len(found))
			}
		})
	}
}

// Of a module's layers all are read, or none.
func TestLayersThatAreCut(t *testing.T) {
	m := &manifest{Layers: layerList{first: []descriptor{{MediaType: timoniContentMediaType}}}}
	if layers, err := m.contentLayers(Revision{}); err != nil || len(layers) != 1 {
		t.Fatalf("found %v, %v", layers, err)
	}
	m.Layers.more = true
	_, err := m.contentLayers(Revision{})
	wantReason(t, err, ArtifactInvalid)
}

// A host whose answers were large and did not end is a suspect the next time.
func TestSuspects(t *testing.T) {
	p := newPool(t)
	for _, fails := range []bool{true, false} {
		c := p.Client(repository(t, "oci://registry.example.com/app", false), Credentials{})
		if err := c.hold(t.Context(), smallBytes+1); err != nil {
			t.Fatal(err)
		}
		if fails {
			_ = c.broken("x", io.ErrUnexpectedEOF)
		}
		c.Close()
		if _, suspect := p.large.suspects.Get(c.repo.Host()); suspect != fails {
			t.Errorf("failed: %t: suspected: %t", fails, suspect)
		}
	}
}
