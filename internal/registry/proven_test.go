package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
)

// A session for plain HTTP is none for HTTPS.
func TestSessionIsOfOneProtocol(t *testing.T) {
	p := newPool(t)
	server, c := guarded(t, nil, p)
	if err := resolve(t, c); err != nil {
		t.Fatal(err)
	}
	err := resolve(t, p.Client(repository(t, "oci://"+server.Host()+"/app", false), c.credentials))
	wantReason(t, err, RegistryUnavailable)
	if err != nil && !strings.Contains(err.Error(), "the registry does not speak HTTPS") {
		t.Errorf("found %v", err)
	}
}

// The specification's bound of a manifest, to the byte.
func TestManifestOfExactlyTheBound(t *testing.T) {
	largest := bytes.Repeat([]byte(" "), 4<<20)
	server := start(t, "referrers", testregistry.Options{})
	c := client(t, newPool(t), server, "app")
	for body, want := range map[string]Reason{string(largest): "", string(largest) + " ": RegistryUnavailable} {
		server.Intercept(testregistry.On(http.MethodGet, testregistry.KindManifests, testregistry.Respond(http.StatusOK, nil, []byte(body))))
		_, _, err := c.manifest(t.Context(), "latest", acceptManifests)
		wantReason(t, err, want)
	}
}

// A link whose address does not end is not guessed at.
func TestLinkWithoutAnEnd(t *testing.T) {
	c := newPool(t).Client(repository(t, "oci://registry.example.com/app", false), Credentials{})
	here, err := http.NewRequest(http.MethodGet, "https://registry.example.com/v2/app/tags/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	for link, want := range map[string]Reason{`</v2/app/tags/list?last=1.0.0>`: "", `</v2/app/tags/list?last=1.0.0`: RegistryUnavailable, "<": RegistryUnavailable, "x": RegistryUnavailable} {
		next, err := c.nextPage(&http.Response{Header: http.Header{"Link": {link}}, Request: here})
		wantReason(t, err, want)
		if (next == "") != (want != "") {
			t.Errorf("%q leads to %q", link, next)
		}
	}
}

// collected is what a hostile registry's signatures come to.
func collected(t *testing.T, h *hostile) (int, error) {
	t.Helper()
	p := newPool(t)
	c := p.Client(repository(t, "oci://registry.example.com/app", false), Credentials{})
	p.sessions.Add(c.key(), &http.Client{Transport: h})
	found, err := c.Signatures(t.Context(), otherDigest)
	return len(found), err
}

// Beside a bundle, a manifest's other layers are not signatures.
func TestOtherLayersAreNoBundles(t *testing.T) {
	blob := []byte("{}")
	layer := func(kind string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, kind, digestOf(blob), len(blob))
	}
	manifest := []byte(`{"layers":[` + layer("application/vnd.dev.sigstore.bundle.v0.3+json") + `,` + layer("text/plain") + `,` + layer(simpleSigningMediaType) + `]}`)
	index := fmt.Sprintf(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q}]}`, digestOf(manifest))
	n, err := collected(t, &hostile{content: map[string][]byte{digestOf(blob): blob, digestOf(manifest): manifest}, referrers: []byte(index)})
	if n != 1 || err != nil {
		t.Errorf("expected 1 signature, found %d, %v", n, err)
	}
}

// The fallback tag may name as many referrers as the API, to one.
func TestReferrersOfTheTagAreBounded(t *testing.T) {
	tag := strings.Replace(otherDigest, ":", "-", 1)
	for n, want := range map[int]Reason{20_000: "", 20_001: TooManySignatures} {
		index := []byte(`{"manifests":[` + strings.Repeat("{},", n-1) + `{}]}`)
		_, err := collected(t, &hostile{tags: map[string][]byte{tag: index}})
		wantReason(t, err, want)
	}
}

// The version in the signed manifest is compared before anything is pulled.
func TestFetchRefusesAnotherVersion(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	digest := push(t, server, "app", "6.9.9", module.Options{Version: "1.0.0"})
	server.Reset()
	content, err := client(t, newPool(t), server, "app").Fetch(t.Context(), verified(t, digest), Revision{"6.9.9", digest}, t.TempDir(), math.MaxInt64)
	wantReason(t, err, VersionMismatch)
	if len(content.Layers) != 0 || server.Counts()["GET blobs"] != 0 {
		t.Errorf("pulled %v, with %v", content.Layers, server.Counts())
	}
}

// Sizes whose sum overflows are too large like any others.
func TestSizesThatOverflow(t *testing.T) {
	layers := []descriptor{{Digest: otherDigest, Size: 100}, {Digest: otherDigest, Size: math.MaxInt64}, {Digest: otherDigest, Size: math.MaxInt64}}
	raw, err := json.Marshal(map[string]any{"layers": layers})
	if err != nil {
		t.Fatal(err)
	}
	c := newPool(t).Client(repository(t, "oci://registry.example.com/app", false), Credentials{})
	for n := 2; n <= len(layers); n++ {
		paths, err := c.pull(t.Context(), Revision{Digest: otherDigest}, readManifest(raw).Layers.first[:n], t.TempDir(), 1000)
		wantReason(t, err, ArtifactTooLarge)
		if len(paths) != 0 {
			t.Errorf("pulled %v", paths)
		}
	}
}
