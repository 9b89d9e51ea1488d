package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"

	gcr "github.com/google/go-containerregistry/pkg/registry"
)

// Referrers starts go-containerregistry's registry, which has the referrers
// API of OCI 1.1.
//
// Two things of it are worth knowing. Its referrers come in no particular
// order, and the artifactType that it lists for them is the media type of
// their config, where the specification wants the manifest's own artifactType
// first: so a bundle is listed as application/vnd.oci.empty.v1+json.
func Referrers(o Options) (*Server, error) {
	backend := gcr.New(
		gcr.WithReferrersSupport(true),
		gcr.Logger(log.New(io.Discard, "", 0)),
	)
	nothing := func() error { return nil }
	return start(paginate(o.PageSize, backend), nothing, o)
}

// tagList is the answer to a listing of tags.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags
type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// paginate lists tags in pages of at most size, or of what the client asks for
// if that is less. go-containerregistry's registry honours n, but leaves out
// the Link header, so that its clients would take a page for the whole list.
func paginate(size int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind, _ := route(r.URL.Path); kind != KindTags || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		servePage(w, r, size, next)
	})
}

// servePage answers with the page of tags that r asks for.
func servePage(w http.ResponseWriter, r *http.Request, size int, next http.Handler) {
	all := r.Clone(r.Context())
	all.URL.RawQuery = ""
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, all)
	var list tagList
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &list) != nil {
		next.ServeHTTP(w, all)
		return
	}
	query := r.URL.Query()
	var more bool
	list.Tags, more = page(list.Tags, query.Get("last"), pageSize(query, size))
	w.Header().Set("Content-Type", "application/json")
	if more {
		w.Header().Set("Link", nextLink(r.URL.Path, list.Tags))
	}
	_ = json.NewEncoder(w).Encode(list)
}

// pageSize is what the client asks for, within limit. Negative means all.
func pageSize(query url.Values, limit int) int {
	n, err := strconv.Atoi(query.Get("n"))
	switch {
	case err != nil || n < 0:
		n = -1
		if limit > 0 {
			n = limit
		}
	case limit > 0:
		n = min(n, limit)
	}
	return n
}

// page cuts up to size tags that come after last out of the sorted tags, and
// tells whether there are more of them.
func page(tags []string, last string, size int) (_ []string, more bool) {
	from, found := slices.BinarySearch(tags, last)
	if found {
		from++
	}
	tags = tags[from:]
	if size < 0 || len(tags) <= size {
		return tags, false
	}
	return tags[:size], size > 0
}

// nextLink points to the page that comes after these tags.
func nextLink(path string, tags []string) string {
	query := url.Values{
		"n":    {strconv.Itoa(len(tags))},
		"last": {tags[len(tags)-1]},
	}
	return fmt.Sprintf(`<%s?%s>; rel="next"`, path, query.Encode())
}
