package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
)

// hostile is a registry in memory whose indexes and manifests are anybody's: it
// serves content by its digest, and what the tags and the referrers API say.
type hostile struct {
	content   map[string][]byte // by digest
	tags      map[string][]byte
	referrers []byte // nil where it has no such API
	asked     []string
}

var askable = regexp.MustCompile(`^/v2/app/(referrers/sha256:[0-9a-f]{64}|manifests/sha256[:-][0-9a-f]{64}|manifests/sha256-[0-9a-f]{64}\.sig|blobs/sha256:[0-9a-f]{64})$`)

func (h *hostile) RoundTrip(r *http.Request) (*http.Response, error) {
	h.asked = append(h.asked, r.Method+" "+r.URL.String())
	kind, reference, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/app/"), "/")
	body, ok := h.content[reference]
	switch {
	case kind == "referrers":
		body, ok = h.referrers, h.referrers != nil
	case !ok && kind == "manifests":
		body, ok = h.tags[reference]
	}
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}
	if answer.Header.Set("Content-Type", string(types.OCIImageIndex)); !ok {
		answer.StatusCode = http.StatusNotFound
	}
	return answer, nil
}

// contentOf is everything in the layout of a fixture, by digest, and what its
// tags name.
func contentOf(t testing.TB, name string) (content map[string][]byte, tags map[string]string) {
	t.Helper()
	content, tags = map[string][]byte{}, map[string]string{}
	type entry struct {
		Digest      string            `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	}
	var read func(raw []byte)
	read = func(raw []byte) {
		var m struct {
			Config    entry   `json:"config"`
			Layers    []entry `json:"layers"`
			Manifests []entry `json:"manifests"`
		}
		if json.Unmarshal(raw, &m) != nil {
			return // A layer.
		}
		for _, e := range slices.Concat(m.Manifests, m.Layers, []entry{m.Config}) {
			if e.Digest == "" {
				continue
			}
			blob, err := fixtures.File(name + "/blobs/" + strings.Replace(e.Digest, ":", "/", 1))
			if err != nil {
				t.Fatal(err)
			}
			content[e.Digest] = blob
			if tag := e.Annotations["org.opencontainers.image.ref.name"]; tag != "" {
				tags[tag] = e.Digest
			}
			read(blob)
		}
	}
	index, err := fixtures.File(name + "/index.json")
	if err != nil {
		t.Fatal(err)
	}
	read(index)
	return content, tags
}

// FuzzSignatures: whatever a registry says refers to a digest, nothing is asked
// of it but what that digest and digests name, what is collected are bytes that
// were asked for by their digest, and nothing that the trusted signer signed
// for something else is a signature of this.
func FuzzSignatures(f *testing.F) {
	keys, err := verify.ParseKeys(fixtures.Key("cosign"))
	if err != nil {
		f.Fatal(err)
	}
	policy := verify.Policy{Threshold: 1, Authorities: []verify.Authority{{Name: "key", Keys: keys, TransparencyLog: verify.LogIgnore}}}
	content := map[string][]byte{}
	for _, name := range []string{"v2-key-notlog", "v3-key-notlog", "attest-v3"} {
		found, tags := contentOf(f, name)
		maps.Copy(content, found)
		for tag, digest := range tags {
			if !strings.HasPrefix(tag, "sha256-") {
				continue
			}
			raw := found[digest]
			for _, api := range []bool{true, false} {
				f.Add(raw, raw, raw, api)
				f.Add(raw, []byte(nil), []byte(nil), api)
				var index struct {
					Manifests []descriptor `json:"manifests"`
				}
				if json.Unmarshal(raw, &index) == nil && len(index.Manifests) > 0 {
					manifest := found[index.Manifests[0].Digest]
					// The manifest is one that the fuzz test may change.
					f.Add([]byte(nil), bytes.ReplaceAll(raw, []byte(index.Manifests[0].Digest), []byte("$MANIFEST")), manifest, api)
				}
			}
		}
	}
	for _, digest := range []string{"sha256:../../../x", "../x", "", "$MANIFEST?x", "sha512:" + strings.Repeat("ab", 64), strings.ToUpper(otherDigest)} {
		layer := func(kind, size string) []byte {
			return []byte(`{"layers":[{"mediaType":"` + kind + `","digest":"` + digest + `","size":` + size + `}]}`)
		}
		listed := []byte(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"$MANIFEST"},` +
			`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digest + `"}]}`)
		for _, size := range []string{"1", "-1", "9223372036854775807"} {
			f.Add(layer(simpleSigningMediaType, size), listed, layer(bundleMediaTypePrefix+".v0.3+json", size), size == "1")
		}
	}
	f.Add([]byte(`[`), []byte(`{"manifests":[`+strings.Repeat(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"$MANIFEST"},`, 200)+`{}]}`), []byte(`{"annotations":{"dev.sigstore.bundle.predicateType":1}}`), true)

	repo := repository(f, "oci://registry.example.com/app", false)
	f.Fuzz(func(t *testing.T, cosign, index, manifest []byte, api bool) {
		named := digestOf(manifest)
		index = bytes.ReplaceAll(index, []byte("$MANIFEST"), []byte(named))
		h := &hostile{content: maps.Clone(content), tags: map[string][]byte{}}
		h.content[named] = manifest
		tag := strings.Replace(otherDigest, ":", "-", 1)
		if cosign != nil {
			h.tags[tag+".sig"] = cosign
		}
		if h.tags[tag] = index; api {
			h.referrers = index
		}
		p := NewPool(Options{UserAgent: "assay-test", Now: time.Now, DialAllow: loopback})
		defer p.Close()
		c := p.Client(repo, Credentials{})
		p.sessions.Add(c.key(), &http.Client{Transport: h})

		signatures, err := c.Signatures(t.Context(), otherDigest)
		for _, asked := range h.asked {
			address, ok := strings.CutPrefix(asked, "GET https://registry.example.com")
			if !ok || !askable.MatchString(address) {
				t.Errorf("asked for %q", asked)
			}
		}
		if err != nil {
			var typed *Error
			if !errors.As(err, &typed) || (typed.Reason != RegistryUnavailable && typed.Reason != TooManySignatures) || len(signatures) > 0 || len(err.Error()) > 1000 {
				t.Errorf("%d signatures and the error %v", len(signatures), err)
			}
			return
		}
		if len(signatures) > verify.MaxSignatures {
			t.Errorf("%d signatures", len(signatures))
		}
		for _, s := range signatures {
			if len(s.Payload) > 0 && (h.content[digestOf(s.Payload)] == nil || !slices.ContainsFunc(h.asked, func(a string) bool { return strings.HasSuffix(a, "/blobs/"+digestOf(s.Payload)) })) {
				t.Errorf("nobody was asked for %q", s.Payload)
			}
		}
		if v, err := verify.Verify(policy, otherDigest, signatures); err == nil || !v.IsZero() {
			t.Errorf("%s is verified by what others refer to", otherDigest)
		}
	})
}
