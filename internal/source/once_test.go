package source

import (
	"os"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
)

// TestOnce: Check and Pull say what Sync says, as far as they go, and publish
// nothing.
func TestOnce(t *testing.T) {
	const another = "sha256:abababababababababababababababababababababababababababababababab"
	noLayer := &module.RawOptions{ConfigMediaType: "application/vnd.oci.image.config.v1+json", Config: []byte("{}")}
	for name, tt := range map[string]struct {
		unsigned  bool
		tag, pin  string
		raw       *module.RawOptions
		intercept func() testregistry.Interceptor
		edit      func(*Request)
		reason    string
		// onlyPull says that Check does not get as far.
		onlyPull bool
	}{
		"yes":                      {},
		"no signature":             {unsigned: true, reason: v1alpha1.ReasonNoSignature},
		"no policy":                {edit: func(r *Request) { r.Policy = verify.Policy{} }, reason: v1alpha1.ReasonInvalidTrust},
		"another pin":              {pin: another, reason: v1alpha1.ReasonDigestMismatch},
		"an old release":           {tag: "6.9.9", reason: v1alpha1.ReasonVersionMismatch},
		"no tag":                   {intercept: fails(1, "HEAD", testregistry.KindManifests, 404), reason: v1alpha1.ReasonVersionNotFound},
		"signatures out of reach":  {intercept: fails(1, "GET", testregistry.KindReferrers, 403), reason: v1alpha1.ReasonAuthenticationFailed},
		"the manifest is gone":     {intercept: fails(2, "GET", testregistry.KindManifests, 404), reason: v1alpha1.ReasonVersionNotFound},
		"nothing to publish":       {raw: noLayer, reason: v1alpha1.ReasonArtifactInvalid},
		"a layer out of reach":     {intercept: fails(3, "GET", testregistry.KindBlobs, 500), reason: v1alpha1.ReasonRegistryUnavailable, onlyPull: true},
		"the version as it stands": {tag: "1.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tag := tt.tag
			if tag == "" {
				tag = "1.0.0"
			}
			if tt.raw != nil {
				image, err := module.Raw(*tt.raw)
				if err != nil {
					t.Fatal(err)
				}
				b.pushImage(tag, image, !tt.unsigned)
			} else {
				b.push(tag, module.Options{Version: "1.0.0"}, !tt.unsigned)
			}
			request := b.request(tag, tt.pin)
			if tt.edit != nil {
				tt.edit(&request)
			}
			dir := t.TempDir()
			ways := map[string]func() (Outcome, error){
				"Sync": func() (Outcome, error) { return b.syncer.Sync(t.Context(), request) },
				"Check": func() (Outcome, error) {
					return (&Syncer{Pool: b.syncer.Pool, Now: b.syncer.Now}).Check(t.Context(), request)
				},
				"Pull": func() (Outcome, error) {
					o, content, err := (&Syncer{Pool: b.syncer.Pool, MaxLayerBytes: 1 << 20, Now: b.syncer.Now}).Pull(t.Context(), request, dir)
					if (err == nil) != (len(content.Layers) == 2) {
						t.Errorf("Pull: expected layers or an error, found %v, %v", content.Layers, err)
					}
					return o, err
				},
			}
			said := map[string]*Error{}
			for way, do := range ways {
				b.server.Intercept(nil)
				if tt.intercept != nil {
					b.server.Intercept(tt.intercept()) // It counts anew.
				}
				o, err := do()
				if err != nil {
					said[way] = asError(t, err)
				}
				if (o.Published.Digest != "") != (way == "Sync" && err == nil) {
					t.Errorf("%s: published %+v, %v", way, o.Published, err)
				}
				if err == nil && (o.Verified.IsZero() || o.Verified.Digest() != o.Revision.Digest) {
					t.Errorf("%s: expected the proof of %s, found %+v", way, o.Revision, o.Verified)
				}
			}
			for way, e := range map[string]*Error{"Sync": said["Sync"], "Check": said["Check"], "Pull": said["Pull"]} {
				want := tt.reason
				if way == "Check" && tt.onlyPull {
					want = ""
				}
				found := ""
				if e != nil {
					found = e.Reason
				}
				if found != want {
					t.Errorf("%s: expected %q, found %q", way, want, found)
				}
				if e != nil && said["Sync"] != nil && gocmp.Diff([]string{said["Sync"].Message, string(said["Sync"].Step)}, []string{e.Message, string(e.Step)}) != "" {
					t.Errorf("%s: expected what Sync says, %q, found %q", way, said["Sync"].Message, e.Message)
				}
			}
			if tt.reason == v1alpha1.ReasonNoSignature {
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("expected nothing to be pulled, found %v, %v", left, err)
				}
			}
		})
	}
}

// fails is nth, made anew for each way.
func fails(n int, method, kind string, code int) func() testregistry.Interceptor {
	return func() testregistry.Interceptor { return nth(n, method, kind, code) }
}
