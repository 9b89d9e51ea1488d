package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
)

var otherDigest = "sha256:" + strings.Repeat("ab", 32)

// jsonAnswer answers with a body, and with headers given as names and values.
func jsonAnswer(body string, headers ...string) testregistry.Interceptor {
	header := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return testregistry.Respond(http.StatusOK, header, []byte(body))
}

func TestResolve(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server := start(t, kind, testregistry.Options{PageSize: 2})
			digests := map[string]string{}
			for _, tag := range []string{"1.0.0", "1.1.0", "v1.2.0", "2.0.0-rc.1", "latest", "1.1.0_build"} {
				digests[tag] = push(t, server, "app", tag, module.Options{Version: tag})
			}
			tests := map[string]struct {
				selector Selector
				want     string // the tag
				digest   string
				reason   Reason
				repo     string
			}{
				"exact":                     {selector: selector(t, "1.0.0", "", "", ""), want: "1.0.0"},
				"build metadata":            {selector: selector(t, "1.1.0+build", "", "", ""), want: "1.1.0_build"},
				"tag":                       {selector: selector(t, "", "latest", "", ""), want: "latest"},
				"range":                     {selector: selector(t, "<1.2.0", "", "", ""), want: "1.1.0_build"},
				"highest stable":            {selector: selector(t, "", "", "", ""), want: "v1.2.0"},
				"a filter":                  {selector: selector(t, "", "", "", `1\..*0`), want: "1.1.0"},
				"a pin":                     {selector: selector(t, "", "", digests["1.0.0"], ""), digest: digests["1.0.0"]},
				"a pin that is not there":   {selector: selector(t, "", "", otherDigest, ""), reason: VersionNotFound},
				"a tag that is not there":   {selector: selector(t, "", "stable", "", ""), reason: VersionNotFound},
				"no version in the range":   {selector: selector(t, "7.x", "", "", ""), reason: VersionNotFound},
				"exact, and not the filter": {selector: selector(t, "1.0.0", "", "", "2.*"), reason: VersionNotFound},
				"no repository":             {selector: selector(t, "1.0.0", "", "", ""), repo: "nothing", reason: RepositoryNotFound},
				"no repository for a range": {selector: selector(t, "1.x", "", "", ""), repo: "nothing", reason: RepositoryNotFound},
			}
			p := newPool(t)
			for name, tt := range tests {
				t.Run(name, func(t *testing.T) {
					repo := tt.repo
					if repo == "" {
						repo = "app"
					}
					found, err := client(t, p, server, repo).Resolve(t.Context(), tt.selector)
					wantReason(t, err, tt.reason)
					want := Revision{Version: tt.want, Digest: tt.digest + digests[tt.want]}
					if tt.reason != "" {
						want = Revision{}
					}
					if found != want {
						t.Errorf("expected %+v, found %+v", want, found)
					}
				})
			}
		})
	}
}

func TestRevisionString(t *testing.T) {
	if found := (Revision{"1.0.0", otherDigest}).String(); found != "1.0.0@"+otherDigest {
		t.Error(found)
	}
	if found := (Revision{Digest: otherDigest}).String(); found != otherDigest {
		t.Error(found)
	}
}

// What a registry may answer to the one HEAD request.
func TestHeadAnswers(t *testing.T) {
	pinned := "sha256:" + strings.Repeat("cd", 32)
	tests := map[string]struct {
		selector Selector
		header   string
		reason   Reason
		message  string
	}{
		"a digest":                      {selector(t, "", "latest", "", ""), otherDigest, "", ""},
		"another algorithm":             {selector(t, "", "latest", "", ""), "sha512:" + strings.Repeat("ab", 64), RegistryUnavailable, "expected a sha256 digest"},
		"something else":                {selector(t, "", "latest", "", ""), "<script>", RegistryUnavailable, "expected a sha256 digest"},
		"a digest and more":             {selector(t, "", "latest", "", ""), otherDigest + ", " + pinned, RegistryUnavailable, "expected a sha256 digest"},
		"another digest than the pin's": {selector(t, "", "", pinned, ""), otherDigest, RegistryUnavailable, "answered for another digest"},
	}
	server := start(t, "referrers", testregistry.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server.Intercept(testregistry.On(http.MethodHead, testregistry.KindManifests, jsonAnswer("", digestHeader, tt.header)))
			found, err := client(t, newPool(t), server, "app").Resolve(t.Context(), tt.selector)
			wantReason(t, err, tt.reason)
			if tt.reason == "" && found.Digest != tt.header {
				t.Errorf("found %+v", found)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.message) || strings.Contains(err.Error(), "script")) {
				t.Errorf("expected %q, found %q", tt.message, err)
			}
		})
	}
}

// The header is optional: without it the manifest itself is hashed.
func TestHeadWithoutDigest(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	digest := push(t, server, "app", "1.0.0", module.Options{})
	server.Intercept(testregistry.On(http.MethodHead, testregistry.KindManifests, testregistry.Respond(http.StatusOK, nil, nil)))
	server.Reset()
	found, err := client(t, newPool(t), server, "app").Resolve(t.Context(), selector(t, "1.0.0", "", "", ""))
	if err != nil || found != (Revision{"1.0.0", digest}) {
		t.Errorf("expected 1.0.0@%s, found %s, %v", digest, found, err)
	}
	wantCounts(t, server, map[string]int{"GET ping": 1, "HEAD manifests": 1, "GET manifests": 1})
	// A pin is compared with what was hashed.
	if _, err := client(t, newPool(t), server, "app").Resolve(t.Context(), selector(t, "", "", otherDigest, "")); reasonOf(t, err) != VersionNotFound {
		t.Errorf("found %v", err)
	}
}

func TestTagPagesAreBounded(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("%q", fmt.Sprintf("1.0.%d", i))
	}
	list := `{"tags":[` + strings.Join(many, ",") + `]}`
	tests := map[string]struct {
		answer   testregistry.Interceptor
		requests int
		message  string
	}{
		"pages without end":    {jsonAnswer(`{"tags":["1.0.0"]}`, "Link", `</v2/app/tags/list?last=x>; rel="next"`), maxTagPages, "more than 100000 tags or 1000 pages"},
		"tags without end":     {jsonAnswer(list, "Link", `</v2/app/tags/list?last=x>; rel="next"`), maxTags/1000 + 1, "more than 100000 tags or 1000 pages"},
		"a page too large":     {jsonAnswer(`{"tags":["` + strings.Repeat("a", maxPageBytes) + `"]}`), 1, "the registry answered more than 8388608 bytes"},
		"no JSON":              {jsonAnswer(`<html>`), 1, "the registry's list of tags is not one"},
		"nested deep":          {jsonAnswer(`{"tags":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), 1, "the registry's list of tags is not one"},
		"tags of a wrong type": {jsonAnswer(`{"tags":[1]}`), 1, "the registry's list of tags is not one"},
		"a link to another host": {
			jsonAnswer(`{"tags":["1.0.0"]}`, "Link", `<http://127.0.0.1:1/v2/app/tags/list>; rel="next"`), 1, "leads elsewhere",
		},
		"a link to another protocol": {
			jsonAnswer(`{"tags":["1.0.0"]}`, "Link", `<ftp://x/v2/app/tags/list>; rel="next"`), 1, "leads elsewhere",
		},
		"a link too long": {
			jsonAnswer(`{"tags":["1.0.0"]}`, "Link", `</v2/app/tags/list?last=`+strings.Repeat("x", maxLinkLength)+`>; rel="next"`), 1, "cannot be read",
		},
		"a link that is none": {jsonAnswer(`{"tags":["1.0.0"]}`, "Link", `</v2/app`), 1, "cannot be read"},
		"a link that does not parse": {
			jsonAnswer(`{"tags":["1.0.0"]}`, "Link", `<%zz>; rel="next"`), 1, "cannot be read",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, "referrers", testregistry.Options{})
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindTags, tt.answer))
			found, err := client(t, newPool(t), server, "app").Resolve(t.Context(), selector(t, "1.x", "", "", ""))
			wantReason(t, err, RegistryUnavailable)
			if found != (Revision{}) {
				t.Errorf("expected no revision, found %s", found)
			}
			if err != nil && !strings.Contains(err.Error(), tt.message) {
				t.Errorf("expected %q, found %q", tt.message, err)
			}
			if found := server.Counts()["GET tags"]; found != tt.requests {
				t.Errorf("expected %d requests, found %d", tt.requests, found)
			}
		})
	}
}

// Whatever a Link header says is taken for the next page: a list that ends
// early would be a wrong answer, one that cannot be read is none.
func TestLinksAreNeverPassedOver(t *testing.T) {
	const next = "</v2/app/tags/list?last=1.0.0>"
	tests := map[string]struct {
		links []string
		tags  int // 0 for an error
	}{
		"none":                   {nil, 1},
		"next":                   {[]string{next + `; rel="next"`}, 2},
		"next, unquoted":         {[]string{next + `; rel=next`}, 2},
		"no relation":            {[]string{next}, 2},
		"next and another":       {[]string{next + `; rel="next", </terms>; rel="license"`}, 2},
		"a whole address":        {[]string{`<http://%s/v2/app/tags/list?last=1.0.0>; rel="next"`}, 2},
		"a comma in an address":  {[]string{`</v2/app/tags/list?last=1.0.0&x=a,b>; rel="next"`}, 2},
		"another relation":       {[]string{`</terms>; rel="license"`}, 0},
		"another, and then next": {[]string{`</terms>; rel="license"`, next + `; rel="next"`}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := start(t, "referrers", testregistry.Options{})
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindTags, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if r.URL.Query().Get("last") == "1.0.0" {
					_, _ = w.Write([]byte(`{"tags":["2.0.0"]}`))
					return
				}
				for _, l := range tt.links {
					w.Header().Add("Link", strings.ReplaceAll(l, "%s", server.Host()))
				}
				_, _ = w.Write([]byte(`{"tags":["1.0.0"]}`))
			}))
			best, found, err := client(t, newPool(t), server, "app").highest(t.Context(), selector(t, ">=1", "", "", ""))
			if found != tt.tags || (err != nil) != (tt.tags == 0) || (found == 2) != (best == "2.0.0") {
				t.Errorf("expected %d tags, found %d, of which %q is the highest, %v", tt.tags, found, best, err)
			}
		})
	}
}

func TestDeadlineOfEveryRequest(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	server.Intercept(testregistry.Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c := client(t, newPool(t), server, "app")
	_, err := c.Resolve(ctx, selector(t, "1.0.0", "", "", ""))
	wantReason(t, err, RegistryUnavailable)
	if err != nil && !strings.HasSuffix(err.Error(), ": version 1.0.0: no answer in time") {
		t.Errorf("found %q", err)
	}
}

func TestManifestIsBoundedAndCompared(t *testing.T) {
	largest := []byte(`{"a":"` + strings.Repeat("a", maxManifestBytes-8) + `"}`)
	tests := map[string]struct {
		body      []byte
		reference string
		reason    Reason
	}{
		"the largest":      {largest, digestOf(largest), ""},
		"a byte more":      {append([]byte(" "), largest...), "latest", RegistryUnavailable},
		"of its digest":    {[]byte("{}"), digestOf([]byte("{}")), ""},
		"of another":       {[]byte("{}"), otherDigest, RegistryUnavailable},
		"by tag, whatever": {[]byte("{}"), "latest", ""},
	}
	server := start(t, "referrers", testregistry.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindManifests, testregistry.Respond(http.StatusOK, nil, tt.body)))
			found, ok, err := client(t, newPool(t), server, "app").manifest(t.Context(), tt.reference, acceptManifests)
			wantReason(t, err, tt.reason)
			if tt.reason == "" && (!ok || string(found) != string(tt.body)) {
				t.Errorf("expected the manifest, found %d bytes", len(found))
			}
			if tt.reason != "" && (ok || found != nil) {
				t.Errorf("expected nothing with an error, found %d bytes", len(found))
			}
		})
	}
}

func TestBlobIsReadToItsEnd(t *testing.T) {
	content := []byte("content")
	tests := map[string]struct {
		answer  testregistry.Interceptor
		size    int64
		reason  Reason
		message string
	}{
		"as announced":        {testregistry.Respond(200, nil, content), 7, "", ""},
		"shorter":             {testregistry.Respond(200, nil, content[:6]), 7, RegistryUnavailable, "expected 7 bytes, the registry answered 6"},
		"longer":              {testregistry.Respond(200, nil, []byte("contentX")), 7, RegistryUnavailable, "expected 7 bytes, the registry answered more"},
		"other bytes":         {testregistry.Respond(200, nil, []byte("c0ntent")), 7, RegistryUnavailable, "the registry answered other bytes"},
		"announced too short": {testregistry.Respond(200, nil, content), 6, RegistryUnavailable, "expected 6 bytes, the registry answered more"},
		"cut": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Length", "7")
			_, _ = w.Write(content[:3])
		}, 7, RegistryUnavailable, "connection closed before the answer was complete"},
		"part of it": {testregistry.Respond(http.StatusPartialContent, nil, content), 7, RegistryUnavailable, "206 Partial Content"},
		"no content": {testregistry.Respond(http.StatusNoContent, nil, nil), 7, RegistryUnavailable, "204 No Content"},
		"not found":  {testregistry.Respond(http.StatusNotFound, nil, nil), 7, RegistryUnavailable, "404 Not Found"},
		"compressed on the way": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			if r.Header.Get("Accept-Encoding") != "" && r.Header.Get("Accept-Encoding") != "identity" {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write([]byte("not what was asked for"))
				return
			}
			_, _ = w.Write(content)
		}, 7, "", ""},
	}
	server := start(t, "referrers", testregistry.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindBlobs, tt.answer))
			found, err := client(t, newPool(t), server, "app").smallBlob(t.Context(), digestOf(content), tt.size)
			wantReason(t, err, tt.reason)
			if tt.reason == "" && string(found) != string(content) {
				t.Errorf("found %q", found)
			}
			if tt.reason != "" && found != nil {
				t.Errorf("expected nothing with an error, found %q", found)
			}
			if err != nil && !strings.Contains(err.Error(), tt.message) {
				t.Errorf("expected %q, found %q", tt.message, err)
			}
		})
	}
}

// What is not there is told from what cannot be asked for: an error of the list
// of tags is that error.
func TestNotFoundThatCannotBeTold(t *testing.T) {
	tests := map[int]Reason{
		http.StatusOK:                  VersionNotFound,
		http.StatusNotFound:            RepositoryNotFound,
		http.StatusBadRequest:          VersionNotFound,
		http.StatusMethodNotAllowed:    VersionNotFound,
		http.StatusUnauthorized:        AuthenticationFailed,
		http.StatusForbidden:           AuthenticationFailed,
		http.StatusTooManyRequests:     RateLimited,
		http.StatusInternalServerError: RegistryUnavailable,
		http.StatusServiceUnavailable:  RegistryUnavailable,
	}
	for code, want := range tests {
		t.Run(http.StatusText(code), func(t *testing.T) {
			server := start(t, "referrers", testregistry.Options{})
			server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				switch r.Method + " " + (testregistry.Request{Path: r.URL.Path}).Kind() {
				case "HEAD manifests":
					w.WriteHeader(http.StatusNotFound)
				case "GET tags":
					w.Header().Set("Retry-After", "7")
					w.WriteHeader(code)
				default:
					next.ServeHTTP(w, r)
				}
			})
			_, err := client(t, newPool(t), server, "app").Resolve(t.Context(), selector(t, "1.0.0", "", "", ""))
			wantReason(t, err, want)
			limited := code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable
			if e := (*Error)(nil); errors.As(err, &e) && (e.RetryAfter == 7*time.Second) != limited {
				t.Errorf("found Retry-After %s", e.RetryAfter)
			}
		})
	}
}

// A registry whose last page of tags is exactly full may say that there is
// another one, which is empty.
func TestPagesOfTagsThatAreFull(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server := start(t, kind, testregistry.Options{PageSize: 2})
			for _, tag := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0"} {
				push(t, server, "app", tag, module.Options{Version: tag})
			}
			found, err := client(t, newPool(t), server, "app").Resolve(t.Context(), selector(t, "1.x", "", "", ""))
			if err != nil || found.Version != "1.3.0" {
				t.Errorf("expected 1.3.0, found %s, %v", found, err)
			}
		})
	}
}
