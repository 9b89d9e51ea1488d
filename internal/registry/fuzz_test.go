package registry

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzReadManifest(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"layers":[{"mediaType":"application/vnd.timoni.content.v1.tar+gzip","digest":"sha256:00","size":1}]}`,
		`{"layers":[{"annotations":{"a":1}},{"annotations":[]}],"annotations":{"org.opencontainers.image.version":"1.0.0"}}`,
		`{"config":{"mediaType":"application/vnd.timoni.config.v1+json"},"layers":[{"size":-1},{"size":9223372036854775807}]}`,
		`{"layers":` + nested(10_001) + `}`, `{"annotations":{"dev.sigstore.bundle.predicateType":["x"]}}`, "{\"layers\":[{\"mediaType\":\"\xff\"}]}",
	} {
		f.Add([]byte(seed), "1.0.0")
	}
	f.Fuzz(func(t *testing.T, body []byte, tag string) {
		m := readManifest(body)
		if m == nil {
			return
		}
		r := Revision{Version: tag, Digest: otherDigest}
		for _, l := range m.Layers.first {
			if isCandidate(l) && !digestPattern.MatchString(l.Digest) {
				t.Errorf("%q is a candidate", l.Digest)
			}
			isAttestation(l.Annotations)
		}
		isAttestation(m.Annotations)
		if err := m.checkVersion(r); err != nil {
			wantReason(t, err, VersionMismatch)
			bounded(t, err.Error(), tag)
		}
		if layers, err := m.contentLayers(r); err == nil && (len(layers) == 0 || len(layers) > maxLayers) {
			t.Errorf("%d layers", len(layers))
		}
		kept := m.publicAnnotations()
		if len(kept) > maxAnnotations {
			t.Errorf("%d annotations", len(kept))
		}
		for key, value := range kept {
			if len(key)+len(value) > maxAnnotationBytes || !strings.HasPrefix(key, annotationPrefix) || !utf8.ValidString(value) {
				t.Errorf("%q: %q", key, value)
			}
		}
	})
}

// bounded looks at a message that may quote an artifact: the tag, which the
// spec bounds, aside.
func bounded(t *testing.T, message, tag string) {
	t.Helper()
	if len(message) > 600+8*len(tag) {
		t.Errorf("a message of %d bytes", len(message))
	}
}

func FuzzReadIndex(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `{"manifests":null}`, `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + otherDigest + `"}]}`,
		`{"manifests":[{"annotations":1},{"annotations":{"dev.sigstore.bundle.predicateType":1}}]}`, `{"manifests":` + nested(10_001) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		index := readIndex(body)
		if (index == nil) == (json.Unmarshal(body, &struct {
			Manifests []descriptor `json:"manifests"`
		}{}) == nil) {
			t.Errorf("an index that can be read must not be nil, and the reverse: %v", index)
		}
		if index == nil {
			return
		}
		for _, digest := range index.sorted() {
			if !digestPattern.MatchString(digest) {
				t.Errorf("%q is a candidate", digest)
			}
		}
	})
}

func FuzzDockerConfig(f *testing.F) {
	for _, seed := range []string{
		`{"auths":{"ghcr.io":{"auth":"dTpw"}}}`, `{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}`, `{"auths":{"ghcr.io/org":{"identitytoken":"t"}}}`,
		`{"auths":null}`, `{"auths":{"":{}}}`, `{"auths":{"/":{"auth":"!"}}}`, `null`, ``, `{"AUTHS":{"ghcr.io":{"USERNAME":"u"}}}`,
	} {
		f.Add([]byte(seed))
	}
	repo := repository(f, "oci://ghcr.io/org/app", false)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseDockerConfig(raw, repo)
		if err == nil {
			if c.IsZero() || c.config == nil {
				t.Error("credentials without an error are anonymous")
			}
			return
		}
		if !c.IsZero() {
			t.Error("credentials with an error")
		}
		text := err.Error()
		if strings.HasPrefix(text, `expected an entry of "auths" for ghcr.io, found `) {
			return // And a number.
		}
		// Nothing of the content is in any of these.
		if !slices.Contains([]string{
			`expected JSON with an object "auths", found something else`,
			`expected "auth" of the entry for ghcr.io to be base64 of user:password, found something else`,
			`expected credentials in the entry for ghcr.io, found none`,
		}, text) {
			t.Errorf("an error of other words: %q", text)
		}
	})
}

func FuzzNextPage(f *testing.F) {
	for _, seed := range []string{
		``, `</v2/app/tags/list?last=x>; rel="next"`, `<http://127.0.0.1/v2/>`, `<//evil.example/v2/>`, `<https://registry.example.com@evil.example/>`,
		`<https://registry.example.com:443/>`, `<\\evil.example/>`, `<?n=1>`, `<http://registry.example.com/>`, `<https://registry.example.com:5000/>`, `<x`, `x>`, "<\t//evil.example>",
	} {
		f.Add(seed)
	}
	c := &Client{repo: repository(f, "oci://registry.example.com/app", false)}
	here, err := url.Parse("https://registry.example.com/v2/app/tags/list?n=1000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, link string) {
		next, err := c.nextPage(&http.Response{Header: http.Header{"Link": {link}}, Request: &http.Request{URL: here}})
		if err != nil {
			wantReason(t, err, RegistryUnavailable)
			if next != "" {
				t.Errorf("%q with an error", next)
			}
			return
		}
		if next == "" {
			if link != "" {
				t.Errorf("%q was passed over", link)
			}
			return
		}
		// What is asked is what a request made of it asks.
		request, err := http.NewRequest(http.MethodGet, next, nil)
		if err != nil {
			return
		}
		if request.URL.Scheme != "https" || request.URL.Host != "registry.example.com" {
			t.Errorf("%q leads to %s", link, next)
		}
	})
}
