package story

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/signing"
)

// expectation is a whole status as a story expects it.
type expectation struct {
	// conditions are all that are there, as type and "status/reason".
	conditions map[string]string
	// says is what the messages of conditions name, by type.
	says map[string][]string
	// observed and artifact are revisions; "" for none.
	observed, artifact string
	// files are those in the archive; nil stands for the small module's.
	files map[string]string
	// signers are "<authority> <format> <fingerprint>", the evidence for
	// artifact.
	signers []string
}

// published are the conditions when everything is well.
func published() map[string]string {
	return map[string]string{
		"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "Ready": "True/SignatureVerified",
	}
}

// refused are the conditions when the observed revision was judged and
// refused, and nothing was published before.
func refused(reason string) map[string]string {
	return map[string]string{
		"Verified": "False/" + reason, "ArtifactInStorage": "False/NoArtifact", "Stalled": "True/" + reason, "Ready": "False/" + reason,
	}
}

// unreachable are the conditions when the registry's answer left nothing to
// judge, and nothing was published before.
func unreachable(reason string) map[string]string {
	return map[string]string{
		"Verified": "Unknown/" + reason, "ArtifactInStorage": "False/NoArtifact", "FetchFailed": "True/" + reason,
		"Reconciling": "True/Retrying", "Ready": "False/" + reason,
	}
}

// unpublishable are the conditions when the observed revision is verified and
// cannot be published, and nothing was published before.
func unpublishable(reason string) map[string]string {
	return map[string]string{
		"Verified": "True/SignatureVerified", "ArtifactInStorage": "False/NoArtifact", "FetchFailed": "True/" + reason,
		"Stalled": "True/" + reason, "Ready": "False/" + reason,
	}
}

// but returns conditions with changes: pairs of a type and "status/reason", ""
// to remove it.
func but(conditions map[string]string, changes ...string) map[string]string {
	changed := maps.Clone(conditions)
	for pair := range slices.Chunk(changes, 2) {
		changed[pair[0]] = pair[1]
	}
	maps.DeleteFunc(changed, func(_, v string) bool { return v == "" })
	return changed
}

// keeping are conditions while an older artifact stays published.
func keeping(conditions map[string]string) map[string]string {
	return but(conditions, "ArtifactInStorage", "True/ArtifactPublished")
}

// expect compares everything in a status with what is expected.
func (w *world) expect(obj *v1alpha1.ModuleSource, want expectation) {
	w.t.Helper()
	found := map[string]string{}
	for _, c := range obj.Status.Conditions {
		found[c.Type] = is(obj, c.Type)
		if c.ObservedGeneration != obj.Generation {
			w.t.Errorf("%s: expected observedGeneration %d, found %d", c.Type, obj.Generation, c.ObservedGeneration)
		}
		w.checkMessage(c)
	}
	if diff := cmp.Diff(want.conditions, found); diff != "" {
		w.t.Errorf("conditions (-expected +found):\n%s\n%s", diff, describe(obj))
	}
	for kind, texts := range want.says {
		for _, text := range texts {
			if !strings.Contains(message(obj, kind), text) {
				w.t.Errorf("%s: expected a message with %q, found %q", kind, text, message(obj, kind))
			}
		}
	}
	w.checkObserved(obj, want.observed)
	w.checkArtifact(obj, want)
}

var (
	timeInText    = regexp.MustCompile(`\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d|0x[0-9a-f]{6}`)
	addressInText = regexp.MustCompile(`(127\.0\.0\.1|\[::1\]|localhost):\d+`)
)

// checkMessage refuses what changes from one attempt to the next.
func (w *world) checkMessage(c metav1.Condition) {
	w.t.Helper()
	if c.Message == "" || len(c.Message) > 2048 {
		w.t.Errorf("%s: expected a message of 1 to 2048 bytes, found %d", c.Type, len(c.Message))
	}
	if found := timeInText.FindString(c.Message); found != "" {
		w.t.Errorf("%s: expected a message without times and addresses of memory, found %q in %q", c.Type, found, c.Message)
	}
	for _, found := range addressInText.FindAllString(c.Message, -1) {
		if found != w.registry.Host() {
			w.t.Errorf("%s: expected no address but the registry's, found %q in %q", c.Type, found, c.Message)
		}
	}
}

func (w *world) checkObserved(obj *v1alpha1.ModuleSource, revision string) {
	w.t.Helper()
	observed := obj.Status.Observed
	switch {
	case revision == "" && observed == nil:
	case revision == "" || observed == nil:
		w.t.Errorf("observed: expected %q, found %+v", revision, observed)
	default:
		version, digest, ok := strings.Cut(revision, "@")
		if !ok {
			version, digest = "", revision
		}
		if observed.Revision != revision || observed.Version != version || observed.Digest != digest || observed.FirstSeenAt.IsZero() {
			w.t.Errorf("observed: expected %q, found %+v", revision, observed)
		}
	}
}

// checkArtifact compares status.artifact with what is served, and the evidence
// with the artifact.
func (w *world) checkArtifact(obj *v1alpha1.ModuleSource, want expectation) {
	w.t.Helper()
	artifact, evidence := obj.Status.Artifact, obj.Status.Verification
	if want.artifact == "" {
		if artifact != nil || evidence != nil {
			w.t.Errorf("expected neither artifact nor evidence, found %+v and %+v", artifact, evidence)
		}
		return
	}
	if artifact == nil || evidence == nil || artifact.Revision != want.artifact {
		w.t.Errorf("expected the artifact %s and its evidence, found %+v and %+v", want.artifact, artifact, evidence)
		return
	}
	_, digest, ok := strings.Cut(want.artifact, "@")
	if !ok {
		digest = want.artifact
	}
	if evidence.Digest != digest || evidence.PolicyHash == "" || evidence.VerifiedAt.IsZero() {
		w.t.Errorf("expected evidence for %s, found %+v", digest, evidence)
	}
	var signers []string
	for _, s := range evidence.Signatures {
		signers = append(signers, s.Authority+" "+s.Format+" "+s.KeyFingerprint)
	}
	if diff := cmp.Diff(want.signers, signers); want.signers != nil && diff != "" {
		w.t.Errorf("evidence (-expected +found):\n%s", diff)
	}
	if h := obj.Status.History; len(h) == 0 || h[0].Revision != artifact.Revision || h[0].ArtifactDigest != artifact.Digest {
		w.t.Errorf("expected the artifact %s first in history, found %+v", artifact.Revision, h)
	}
	if is(obj, "ArtifactInStorage") != "True/ArtifactPublished" {
		return
	}
	files := want.files
	if files == nil {
		files = fixtures.Module()
	}
	if diff := cmp.Diff(files, w.fetch(obj)); diff != "" {
		w.t.Errorf("archive of %s (-expected +found):\n%s", artifact.Revision, diff)
	}
}

// fetch downloads status.artifact, compares its size and digest, and returns
// the files in it.
func (w *world) fetch(obj *v1alpha1.ModuleSource) map[string]string {
	w.t.Helper()
	artifact := obj.Status.Artifact
	if !strings.HasSuffix(artifact.URL, "/"+artifact.Path) || !strings.HasPrefix(artifact.Path, path.Join("modulesource", obj.Namespace, obj.Name)+"/") {
		w.t.Errorf("expected a URL that ends in the path, of this object, found %s and %s", artifact.URL, artifact.Path)
	}
	code, body := download(w.t, artifact.URL)
	if code != http.StatusOK {
		w.t.Fatalf("%s: expected 200, found %d", artifact.URL, code)
	}
	sum := sha256.Sum256(body)
	if digest := "sha256:" + hex.EncodeToString(sum[:]); digest != artifact.Digest || artifact.Size == nil || int64(len(body)) != *artifact.Size {
		w.t.Errorf("expected the archive %s of %v bytes, found %s of %d", artifact.Digest, artifact.Size, digest, len(body))
	}
	files, err := unpack(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return files
}

func unpack(archive []byte) (map[string]string, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files[header.Name] = string(content)
	}
}

// again polls once more and demands that nothing changes: neither a message
// nor a time.
func (w *world) again(name string) *v1alpha1.ModuleSource {
	w.t.Helper()
	before := w.get(name)
	after := w.poll(name)
	was, is := before.Status.DeepCopy(), after.Status.DeepCopy()
	was.LastHandledReconcileAt, is.LastHandledReconcileAt = "", ""
	if diff := cmp.Diff(was, is); diff != "" {
		w.t.Errorf("expected the same status after another poll (-before +after):\n%s", diff)
	}
	return after
}

// ready waits until a ModuleSource is ready for its current generation, without
// asking for a poll.
func (w *world) ready(name string) *v1alpha1.ModuleSource {
	w.t.Helper()
	return w.await(name, "it is ready", func(s *v1alpha1.ModuleSource) bool {
		return s.Status.ObservedGeneration == s.Generation && is(s, "Ready") == "True/SignatureVerified"
	})
}

// signer is a signer as expectation.signers has it.
func signer(authority, format string, key *signing.Key) string {
	return authority + " " + format + " " + fingerprint(key)
}

func fingerprint(key *signing.Key) string {
	block, _ := pem.Decode(key.PublicPEM())
	sum := sha256.Sum256(block.Bytes)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// at is a revision.
func at(version, digest string) string { return version + "@" + digest }

// versioned edits a spec to ask for a version or range.
func versioned(version string) func(*v1alpha1.ModuleSourceSpec) {
	return func(s *v1alpha1.ModuleSourceSpec) { s.Version = version }
}

// mutable edits a spec to ask for a version that may move to another digest.
func mutable(version string) func(*v1alpha1.ModuleSourceSpec) {
	return func(s *v1alpha1.ModuleSourceSpec) { s.Version, s.ImmutableVersions = version, ptr.To(false) }
}

// inEachFormat runs a test for each format of signature and kind of registry.
func inEachFormat(t *testing.T, test func(t *testing.T, w *world, format string)) {
	t.Helper()
	t.Parallel()
	for _, format := range []string{"cosign", "bundle"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			eachRegistry(t, func(t *testing.T, w *world) { test(t, w, format) })
		})
	}
}

// withVendor adds what the small module vendors to the files of a module.
func withVendor(files map[string]string) map[string]string {
	all := maps.Clone(files)
	for name, content := range fixtures.Module() {
		if strings.HasPrefix(name, "cue.mod/") {
			all[name] = content
		}
	}
	return all
}
