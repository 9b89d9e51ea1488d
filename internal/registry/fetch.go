package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/assay-dev/assay/internal/verify"
)

const (
	timoniConfigMediaType  = "application/vnd.timoni.config.v1+json"
	timoniContentMediaType = "application/vnd.timoni.content.v1.tar+gzip"
	annotationPrefix       = "org.opencontainers.image."
	versionAnnotation      = annotationPrefix + "version"
	// maxLayers bounds the layers of a module; Timoni writes two.
	maxLayers = 16
	// Bounds of the annotations that are passed on to status.
	maxAnnotations     = 16
	maxAnnotationBytes = 256
)

// Content is what was pulled: files of compressed layers whose digests are
// checked, in the order in which they are merged.
type Content struct {
	Layers []string
	// Annotations are those of the signed manifest that OCI defines
	// (org.opencontainers.image.*), bounded in number and length.
	Annotations map[string]string
}

// Fetch pulls the content of a verified digest into files in dir, at most
// maxBytes of it. It takes the proof of a verdict, and refuses the zero value.
// Where the revision's tag is a semantic version, the signed manifest must be
// of that version: the signature covers a digest, and whoever may push could
// otherwise offer an old signed module under a higher version. That holds
// however the tag was selected, so that no edit of the spec goes around it.
// Errors are of type *Error.
func (c *Client) Fetch(ctx context.Context, v verify.Verified, r Revision, dir string, maxBytes int64) (Content, error) {
	m, layers, err := c.verifiedManifest(ctx, v, r)
	if err != nil {
		return Content{}, err
	}
	paths, err := c.pull(ctx, r, layers, dir, maxBytes)
	return Content{Layers: paths, Annotations: m.publicAnnotations()}, err
}

// Check does what Fetch does before it pulls a layer, so that it fails as Fetch
// would, and returns the annotations that Fetch returns.
func (c *Client) Check(ctx context.Context, v verify.Verified, r Revision) (map[string]string, error) {
	m, _, err := c.verifiedManifest(ctx, v, r)
	if err != nil {
		return nil, err
	}
	return m.publicAnnotations(), nil
}

// verifiedManifest reads the manifest of a verified digest, and holds it to the
// revision.
func (c *Client) verifiedManifest(ctx context.Context, v verify.Verified, r Revision) (*manifest, []descriptor, error) {
	if v.IsZero() || v.Digest() != r.Digest {
		return nil, nil, errorf(ArtifactInvalid, "%s: refused to pull what is not verified", r)
	}
	body, found, err := c.manifest(ctx, v.Digest(), acceptManifests)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, errorf(VersionNotFound, "%s: the repository does not have the manifest any more", r)
	}
	m := readManifest(body)
	if m == nil || m.MediaType == string(types.OCIImageIndex) || m.MediaType == string(types.DockerManifestList) {
		return nil, nil, errorf(ArtifactInvalid, "%s: expected an image manifest, found something else", r)
	}
	if err := m.checkVersion(r); err != nil {
		return nil, nil, err
	}
	layers, err := m.contentLayers(r)
	return m, layers, err
}

// checkVersion compares the version in the signed manifest with that of the
// tag it was offered under. Timoni always writes it; for other artifacts it is
// compared where it is written.
func (m *manifest) checkVersion(r Revision) error {
	offered := versionOfTag(r.Version)
	if offered == nil {
		return nil
	}
	written, ok := m.annotations()[versionAnnotation]
	if !ok && m.isTimoni() {
		return errorf(VersionMismatch, "%s: expected the annotation %s in the signed manifest, found none", r, versionAnnotation)
	}
	signed, err := semver.StrictNewVersion(strings.TrimPrefix(written, "v"))
	if err != nil && !m.isTimoni() {
		return nil // Absent, or another tool's use of the annotation.
	}
	if err != nil || signed.String() != offered.String() {
		return errorf(VersionMismatch, "%s: expected version %s in the signed manifest, found %.64q: an old release offered under another version?", r, r.Version, written)
	}
	return nil
}

func (m *manifest) isTimoni() bool {
	if m.Config.MediaType == timoniConfigMediaType || m.ArtifactType == timoniConfigMediaType {
		return true
	}
	for _, l := range m.Layers.first {
		if l.MediaType == timoniContentMediaType {
			return true
		}
	}
	return false
}

// annotations are those that OCI defines and whose values are strings.
func (m *manifest) annotations() map[string]string {
	var raw map[string]json.RawMessage
	if json.Unmarshal(m.Annotations, &raw) != nil {
		return nil
	}
	texts := map[string]string{}
	for key, value := range raw {
		var text string
		if strings.HasPrefix(key, annotationPrefix) && json.Unmarshal(value, &text) == nil {
			texts[key] = text
		}
	}
	return texts
}

// publicAnnotations are those that are short enough to pass on, the first
// maxAnnotations of them by name.
func (m *manifest) publicAnnotations() map[string]string {
	all := m.annotations()
	kept := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if len(kept) < maxAnnotations && len(key)+len(all[key]) <= maxAnnotationBytes {
			kept[key] = all[key]
		}
	}
	return kept
}

// contentLayers are the layers that are published: all content layers of a
// Timoni module, in their order (vendored packages, then the module); of any
// other artifact the first layer that is tar+gzip.
func (m *manifest) contentLayers(r Revision) ([]descriptor, error) {
	var layers []descriptor
	for _, l := range m.Layers.first {
		if m.isTimoni() && l.MediaType == timoniContentMediaType {
			layers = append(layers, l)
		} else if !m.isTimoni() && isTarGzip(l.MediaType) {
			layers = append(layers, l)
			break
		}
	}
	if len(layers) == 0 {
		return nil, errorf(ArtifactInvalid, "%s: expected a layer of media type tar+gzip, found none among %d layers", r, len(m.Layers.first))
	}
	if len(layers) > maxLayers || (m.isTimoni() && m.Layers.more) {
		return nil, errorf(ArtifactInvalid, "%s: expected at most %d content layers, found %d", r, maxLayers, len(layers))
	}
	return layers, nil
}

func isTarGzip(mediaType string) bool {
	return strings.HasSuffix(mediaType, "tar+gzip") || mediaType == string(types.DockerLayer)
}

func (c *Client) pull(ctx context.Context, r Revision, layers []descriptor, dir string, maxBytes int64) ([]string, error) {
	var total int64
	for _, l := range layers {
		if !digestPattern.MatchString(l.Digest) || l.Size < 0 {
			return nil, errorf(ArtifactInvalid, "%s: expected layers with sha256 digests and sizes, found another", r)
		}
		// One by one: the sum of hostile sizes may overflow.
		if total += min(l.Size, maxBytes+1); total > maxBytes {
			return nil, errorf(ArtifactTooLarge, "%s: expected at most %d bytes of compressed layers (--artifact-max-bytes), the manifest announces more", r, maxBytes)
		}
	}
	told := &progress{tell: c.Progress, total: total}
	paths := make([]string, 0, len(layers))
	for i, l := range layers {
		path := filepath.Join(dir, "layer-"+strconv.Itoa(i))
		if err := c.pullLayer(ctx, l, path, told); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// progress counts what is written, for Client.Progress.
type progress struct {
	tell        func(done, total int64)
	done, total int64
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if p.tell != nil {
		p.tell(p.done, p.total)
	}
	return len(b), nil
}

func (c *Client) pullLayer(ctx context.Context, l descriptor, path string, told *progress) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return storageError(l.Digest, err)
	}
	if err := c.blob(ctx, l.Digest, l.Size, io.MultiWriter(f, told)); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return storageError(l.Digest, err)
	}
	return nil
}

// storageError leaves out the path, which is another one on every attempt.
func storageError(digest string, err error) *Error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return errorf(StorageFailed, "blob %s: writing it: %v", digest, err)
}
