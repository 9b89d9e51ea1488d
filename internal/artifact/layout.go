package artifact

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// The layout below Options.Root:
//
//	modulesource/<namespace>/<name>/<hex>.tar.gz           an archive, by its own SHA-256; served
//	modulesource/<namespace>/<name>/<hex>.signatures.json  the signatures kept beside it; never served
//	tmp/process-<random>/                                  work in progress of a process
const (
	archiveFolder    = "modulesource"
	tempFolder       = "tmp"
	archiveSuffix    = ".tar.gz"
	signaturesSuffix = ".signatures.json"
)

// Owner is the ModuleSource whose artifact it is.
type Owner struct {
	// Namespace is a DNS-1123 label.
	Namespace string
	// Name is a DNS-1123 subdomain.
	Name string
}

// String is "namespace/name".
func (o Owner) String() string { return o.Namespace + "/" + o.Name }

// Kubernetes' definitions of RFC 1123 names, in
// k8s.io/apimachinery/pkg/util/validation. Neither lets a slash, an empty
// element or ".." through, which is what makes them safe as folders.
var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	hexSHA256    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

const (
	maxLabelBytes     = 63
	maxSubdomainBytes = 253
)

// validate returns an *Error unless the owner's names are safe as folders.
func (o Owner) validate() error {
	if len(o.Namespace) > maxLabelBytes || !dnsLabel.MatchString(o.Namespace) {
		return storageFailed("owner", fmt.Errorf("expected a DNS-1123 label as namespace, found %s", quote(o.Namespace)))
	}
	if len(o.Name) > maxSubdomainBytes || !dnsSubdomain.MatchString(o.Name) {
		return storageFailed("owner", fmt.Errorf("expected a DNS-1123 subdomain as name, found %s", quote(o.Name)))
	}
	return nil
}

// The paths are relative to the root. The owner must be valid.

func (o Owner) folder() string { return path.Join(archiveFolder, o.Namespace, o.Name) }

func (o Owner) archive(hex string) string { return path.Join(o.folder(), hex+archiveSuffix) }

func (o Owner) signatures(hex string) string { return path.Join(o.folder(), hex+signaturesSuffix) }

// parseArchivePath is the inverse of Owner.archive, and says no to everything
// that Owner.archive does not return.
func parseArchivePath(p string) (owner Owner, hex string, ok bool) {
	elements := strings.Split(p, "/")
	if len(elements) != 4 || elements[0] != archiveFolder {
		return Owner{}, "", false
	}
	owner = Owner{Namespace: elements[1], Name: elements[2]}
	hex, ok = strings.CutSuffix(elements[3], archiveSuffix)
	if !ok || !hexSHA256.MatchString(hex) || owner.validate() != nil {
		return Owner{}, "", false
	}
	return owner, hex, true
}

// hexOf returns the hexadecimal part of a digest "sha256:<64 lower-case
// hexadecimal digits>".
func hexOf(digest string) (string, bool) {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	return hex, ok && hexSHA256.MatchString(hex)
}

// digestOf is the inverse of hexOf.
func digestOf(hex string) string { return "sha256:" + hex }
