package pack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Annotations of any image.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
const (
	versionAnnotation  = "org.opencontainers.image.version"
	sourceAnnotation   = "org.opencontainers.image.source"
	revisionAnnotation = "org.opencontainers.image.revision"
	createdAnnotation  = "org.opencontainers.image.created"
)

// fluxCreated is when a Flux artifact was made that is in no work tree, as with
// `flux push artifact --reproducible`: packing the same again must not make
// another digest of it.
const fluxCreated = "1970-01-01T00:00:00Z"

// annotate returns the annotations of the manifest. What Git does not say is
// left out, except by Flux, which always writes its three.
func (o Options) annotate(ctx context.Context, dir string, p *Packed) (map[string]string, error) {
	annotations := maps.Clone(o.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[versionAnnotation] = o.Version
	found, err := readGit(ctx, dir)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("%s and %s are left out of the annotations, because Git does not tell them: %v", sourceAnnotation, revisionAnnotation, err))
	}
	if created, ok := sourceDateEpoch(o.Getenv); ok {
		found.created = created
	}
	if o.Type == Flux {
		found.created = orElse(found.created, fluxCreated)
		found.revision = fluxRevision(found, o.Version)
	}
	for key, value := range map[string]string{createdAnnotation: found.created, sourceAnnotation: found.source, revisionAnnotation: found.revision} {
		if _, ok := annotations[key]; !ok && (value != "" || o.Type == Flux) {
			annotations[key] = value
		}
	}
	if o.Type == Timoni {
		return annotations, addImages(dir, annotations)
	}
	return annotations, nil
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// fluxRevision is the revision as Flux's documentation has it given.
func fluxRevision(found gitMetadata, version string) string {
	if found.revision == "" {
		return ""
	}
	return orElse(found.branch, version) + "@sha1:" + found.revision
}

// sourceDateEpoch is the time of https://reproducible-builds.org/specs/source-date-epoch/.
func sourceDateEpoch(getenv func(string) string) (string, bool) {
	if getenv == nil {
		return "", false
	}
	return unixTime(getenv("SOURCE_DATE_EPOCH"))
}

func unixTime(seconds string) (string, bool) {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "", false
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339), true
}

// gitMetadata is what Git says of a work tree; a field is empty where it says
// nothing.
type gitMetadata struct{ source, revision, branch, created string }

// gitTimeout bounds each question to Git.
const gitTimeout = 10 * time.Second

// readGit asks the git command, as Timoni does: it knows every kind of
// repository, and which it may trust. The error says why it did not tell, where
// the folder is in a work tree.
func readGit(ctx context.Context, dir string) (gitMetadata, error) {
	if !inWorkTree(dir) {
		return gitMetadata{}, nil
	}
	var found gitMetadata
	commit, err := git(ctx, dir, "--no-pager", "log", "-1", "--no-show-signature", "--format=%H %ct")
	if err != nil {
		return found, err
	}
	revision, seconds, _ := strings.Cut(commit, " ")
	found.revision = revision
	found.created, _ = unixTime(seconds)
	// Without a remote, or on no branch, it says nothing, which is no error.
	if source, err := git(ctx, dir, "config", "--get", "remote.origin.url"); err == nil {
		found.source = withoutPassword(source)
	}
	if branch, err := git(ctx, dir, "branch", "--show-current"); err == nil {
		found.branch = branch
	}
	return found, nil
}

// inWorkTree reports whether there is something for Git to tell.
func inWorkTree(dir string) bool {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		above := filepath.Dir(dir)
		if above == dir {
			return false
		}
		dir = above
	}
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = dir
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		first, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("git %s: %.200q", args[0], first)
	}
	return strings.TrimSpace(string(out)), err
}

// withoutPassword takes what may be secret out of a URL: CI systems clone with a
// token in it, and an annotation is public. The user of SSH is no secret. It is
// "" for a URL that cannot be read, of which it is not known where the token is:
// a password with a # or % in it makes one.
func withoutPassword(remote string) string {
	u, err := url.Parse(remote)
	switch {
	case err != nil && strings.Contains(remote, "://"):
		return ""
	case err != nil || u.Host == "":
		return remote // git@example.com:org/app.git, or a folder
	}
	if _, secret := u.User.Password(); secret || !strings.Contains(u.Scheme, "ssh") {
		u.User = nil
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}
