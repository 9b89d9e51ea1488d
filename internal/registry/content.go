package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxManifestBytes is the size of a manifest that registries must accept at
// least and that ours may have at most.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
const maxManifestBytes = 4 << 20

var digestPattern = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)

// acceptManifests are the media types of what a tag may name.
var acceptManifests = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ",")

// manifest gets the manifest of a tag or digest, at most maxManifestBytes. By
// digest, the bytes are compared with it. Found is false where the registry
// answers 404.
func (c *Client) manifest(ctx context.Context, reference, accept string) (body []byte, found bool, err error) {
	what := "manifest " + reference
	response, err := c.do(ctx, KindManifest, what, http.MethodGet, c.repo.url("manifests", reference), accept)
	if err != nil {
		return nil, false, err
	}
	defer closeBody(response)
	what = c.named(what)
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, false, nil
	default:
		return nil, false, statusError(what, response.StatusCode, response.Header)
	}
	body, err = c.readAll(ctx, what, response.Body, maxManifestBytes)
	if err != nil {
		return nil, false, err
	}
	if digestPattern.MatchString(reference) && digestOf(body) != reference {
		return nil, false, errorf(RegistryUnavailable, "%s: the registry answered other bytes, of digest %s", what, digestOf(body))
	}
	return body, true, nil
}

// blob copies a blob to w and compares size and digest at its end. On an error
// nothing of what w holds may be used.
func (c *Client) blob(ctx context.Context, digest string, size int64, w io.Writer) error {
	return c.copyBlob(ctx, digest, size, w, func(body io.Reader) io.Reader { return body })
}

// copyBlob reads the body through what through makes of it.
func (c *Client) copyBlob(ctx context.Context, digest string, size int64, w io.Writer, through func(io.Reader) io.Reader) error {
	what := "blob " + digest
	response, err := c.do(ctx, KindBlob, what, http.MethodGet, c.repo.url("blobs", digest), "")
	if err != nil {
		return err
	}
	defer closeBody(response)
	what = c.named(what)
	if response.StatusCode != http.StatusOK {
		return statusError(what, response.StatusCode, response.Header)
	}
	hash := sha256.New()
	target := &localWriter{w: w}
	n, err := io.Copy(io.MultiWriter(hash, target), io.LimitReader(through(response.Body), size+1))
	switch {
	case target.err != nil:
		return storageError(digest, target.err)
	case err != nil:
		return c.broken(what, err)
	case n > size:
		return errorf(RegistryUnavailable, "%s: expected %d bytes, the registry answered more", what, size)
	case n < size:
		return errorf(RegistryUnavailable, "%s: expected %d bytes, the registry answered %d", what, size, n)
	}
	if found := "sha256:" + hex.EncodeToString(hash.Sum(nil)); found != digest {
		return errorf(RegistryUnavailable, "%s: the registry answered other bytes, of digest %s", what, found)
	}
	return nil
}

// localWriter tells an error of the local disk from one of the network.
type localWriter struct {
	w   io.Writer
	err error
}

func (l *localWriter) Write(b []byte) (int, error) {
	n, err := l.w.Write(b)
	if err != nil {
		l.err = err
	}
	return n, err
}

// smallBlob gets a blob into memory; the caller has bounded size.
func (c *Client) smallBlob(ctx context.Context, digest string, size int64) ([]byte, error) {
	var b bytes.Buffer
	counted := func(body io.Reader) io.Reader { return held{ctx, c, body} }
	if err := c.copyBlob(ctx, digest, size, &b, counted); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// readAll reads into memory, which the caller drops.
func (c *Client) readAll(ctx context.Context, what string, r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(held{ctx, c, r}, limit+1))
	if err != nil {
		return nil, c.broken(what, err)
	}
	if int64(len(b)) > limit {
		return nil, errorf(RegistryUnavailable, "%s: the registry answered more than %d bytes", what, limit)
	}
	return b, nil
}

// broken words a request whose answer did not come to its end.
func (c *Client) broken(what string, err error) *Error {
	c.failed = true
	return requestError(what, err)
}

// closeBody drains a little, so that the connection is used again, and closes.
func closeBody(r *http.Response) {
	_, _ = io.CopyN(io.Discard, r.Body, 16<<10)
	_ = r.Body.Close()
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// isMediaType compares a Content-Type without its parameters.
func isMediaType(header http.Header, want types.MediaType) bool {
	found, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && found == string(want)
}
