package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Bounds of a list of tags.
const (
	maxTags       = 100_000
	maxTagPages   = 1_000
	maxPageBytes  = 8 << 20
	tagsPerPage   = "1000" // ECR answers an error to more
	maxLinkLength = 8 << 10
	digestHeader  = "Docker-Content-Digest"
)

// Revision is what a selection resolved to.
type Revision struct {
	// Version is the version or tag, as the registry spells it; "" for a pin.
	Version string
	// Digest is "sha256:<64 hexadecimal digits>".
	Digest string
}

// String is "<version>@<digest>", or "<digest>" for a pin.
func (r Revision) String() string {
	if r.Version == "" {
		return r.Digest
	}
	return r.Version + "@" + r.Digest
}

// Resolve asks which digest the selection names now: one HEAD request, and for
// a range the list of tags before it. It does not compare with [Selector.Pin]
// unless the pin is all there is. Errors are of type *Error.
func (c *Client) Resolve(ctx context.Context, s Selector) (Revision, error) {
	switch {
	case s.ByDigest() && s.digest == "":
		return Revision{}, errorf(VersionNotFound, "%s: nothing is selected", c.repo)
	case s.ByDigest():
		digest, err := c.head(ctx, s.digest, "digest "+s.digest)
		return Revision{Digest: digest}, err
	case s.constraint != nil:
		tag, n, err := c.highest(ctx, s)
		if err != nil {
			return Revision{}, err
		}
		if tag == "" {
			return Revision{}, errorf(VersionNotFound, "%s: expected a tag that matches %s, found none among %d tags", c.repo, s.describe(), n)
		}
		return c.resolveTag(ctx, tag, "tag "+tag)
	default:
		if !s.passes(s.tag) {
			return Revision{}, errorf(VersionNotFound, "%s: versionFilter does not match %s", c.repo, s.tag)
		}
		return c.resolveTag(ctx, s.tag, s.describe())
	}
}

func (s Selector) describe() string {
	what := s.wanted
	if what == "" {
		what = "tag " + s.tag
	}
	if s.filter != nil {
		what += " and versionFilter"
	}
	return what
}

func (c *Client) resolveTag(ctx context.Context, tag, what string) (Revision, error) {
	digest, err := c.head(ctx, tag, what)
	if err != nil {
		return Revision{}, err
	}
	return Revision{Version: tag, Digest: digest}, nil
}

// head asks for the digest that a reference names.
func (c *Client) head(ctx context.Context, reference, what string) (string, error) {
	response, err := c.do(ctx, KindManifest, what, http.MethodHead, c.repo.url("manifests", reference), acceptManifests)
	if err != nil {
		return "", err
	}
	defer closeBody(response)
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", c.notFound(ctx, what)
	default:
		return "", statusError(c.named(what), response.StatusCode, response.Header)
	}
	digest := response.Header.Get(digestHeader)
	if digest == "" {
		// The header is optional for a HEAD request: hash the manifest instead.
		return c.hashed(ctx, reference, what)
	}
	if !digestPattern.MatchString(digest) {
		return "", errorf(RegistryUnavailable, "%s: %s: expected a sha256 digest in %s, found something else", c.repo, what, digestHeader)
	}
	if digestPattern.MatchString(reference) && digest != reference {
		return "", errorf(RegistryUnavailable, "%s: %s: the registry answered for another digest", c.repo, what)
	}
	return digest, nil
}

func (c *Client) hashed(ctx context.Context, reference, what string) (string, error) {
	body, found, err := c.manifest(ctx, reference, acceptManifests)
	if err != nil {
		return "", err
	}
	if !found {
		return "", c.notFound(ctx, what)
	}
	defer c.drop(len(body))
	return digestOf(body), nil
}

// notFound tells a repository that is not there from a tag that is not: a HEAD
// answer has no body, and registries disagree about the code in a GET's.
func (c *Client) notFound(ctx context.Context, what string) error {
	response, err := c.do(ctx, KindTags, "tags", http.MethodGet, c.repo.url("tags", "list")+"?n=1", "")
	if err != nil {
		return err
	}
	defer closeBody(response)
	switch code := response.StatusCode; {
	case code == http.StatusNotFound:
		return errorf(RepositoryNotFound, "%s: the registry does not know the repository", c.repo)
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusTooManyRequests, code >= http.StatusInternalServerError:
		return statusError(c.named("tags"), code, response.Header)
	}
	return errorf(VersionNotFound, "%s: the repository has no %s", c.repo, what)
}

// highest lists all tags, page by page, and returns the highest version that
// matches, "" for none, and how many tags there are.
func (c *Client) highest(ctx context.Context, s Selector) (best string, n int, err error) {
	next := c.repo.url("tags", "list") + "?n=" + tagsPerPage
	for page := 0; next != ""; page++ {
		if page == maxTagPages || n > maxTags {
			return "", 0, errorf(RegistryUnavailable, "%s: more than %d tags or %d pages of them", c.repo, maxTags, maxTagPages)
		}
		tags, following, err := c.tagPage(ctx, next)
		if err != nil {
			return "", 0, err
		}
		// Not more is kept of a page than what may win.
		best, n, next = s.highest(append(tags, best)), n+len(tags), following
	}
	return best, n, nil
}

func (c *Client) tagPage(ctx context.Context, address string) (tags tagList, next string, err error) {
	const what = "tags"
	response, err := c.do(ctx, KindTags, what, http.MethodGet, address, "")
	if err != nil {
		return nil, "", err
	}
	defer closeBody(response)
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, "", errorf(RepositoryNotFound, "%s: the registry does not know the repository", c.repo)
	default:
		return nil, "", statusError(c.named(what), response.StatusCode, response.Header)
	}
	body, err := c.readAll(ctx, c.named(what), response.Body, maxPageBytes)
	if err != nil {
		return nil, "", err
	}
	defer c.drop(len(body))
	var page struct {
		Tags tagList `json:"tags"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, "", errorf(RegistryUnavailable, "%s: the registry's list of tags is not one", c.repo)
	}
	next, err = c.nextPage(response)
	return page.Tags, next, err
}

// nextPage reads the Link header (RFC 8288) of a page. A page of another host
// is refused: it would be sent this repository's token's scope of trust.
func (c *Client) nextPage(response *http.Response) (string, error) {
	link := response.Header.Get("Link")
	if link == "" {
		return "", nil
	}
	target, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	reference, err := url.Parse(target)
	if !ok || err != nil || len(link) > maxLinkLength {
		return "", errorf(RegistryUnavailable, "%s: the registry's link to the next page cannot be read", c.repo)
	}
	here := response.Request.URL
	next := here.ResolveReference(reference)
	if next.Host != c.repo.Host() || next.Scheme != here.Scheme {
		return "", errorf(RegistryUnavailable, "%s: the registry's link to the next page leads elsewhere", c.repo)
	}
	return next.String(), nil
}
