package registry

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// scheme is the scheme of spec.url.
const scheme = "oci://"

// urlPattern is the rule of spec.url in the CRD, which the API server applies
// too.
var urlPattern = regexp.MustCompile(`^oci://[a-zA-Z0-9]([a-zA-Z0-9.-]{0,253}[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)+$`)

// Repository is a repository of a registry, and how to speak to it.
type Repository struct {
	repo     name.Repository
	insecure bool
}

// ParseRepository reads "oci://<registry>[:port]/<repository>". Insecure is
// plain HTTP; without it, no request goes out over plain HTTP, not even to
// loopback.
func ParseRepository(url string, insecure bool) (Repository, error) {
	if !urlPattern.MatchString(url) {
		return Repository{}, fmt.Errorf("expected oci://<registry>[:port]/<repository> in lower case, without tag or digest, found %.200q", url)
	}
	options := []name.Option{name.StrictValidation}
	if insecure {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(strings.TrimPrefix(url, scheme), options...)
	if err != nil {
		return Repository{}, fmt.Errorf("expected oci://<registry>[:port]/<repository>, found %.200q: %w", url, err)
	}
	return Repository{repo: repo, insecure: insecure}, nil
}

// String is the repository without a scheme, as in image references.
func (r Repository) String() string { return r.repo.Name() }

// Host is the registry's host and port.
func (r Repository) Host() string { return r.repo.RegistryStr() }

// url is the address of one of the repository's resources.
func (r Repository) url(resource, identifier string) string {
	protocol := "https"
	if r.insecure {
		protocol = "http"
	}
	return fmt.Sprintf("%s://%s/v2/%s/%s/%s", protocol, r.Host(), r.repo.RepositoryStr(), resource, identifier)
}
