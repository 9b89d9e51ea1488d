package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Credentials authenticate at one registry. The zero value is anonymous. Its
// fields are unexported and it prints as a placeholder, so that it does not
// reach a log.
type Credentials struct {
	// config is a pointer because fmt prints the fields of what holds a
	// Credentials in an unexported field, and calls no method of it.
	config *authn.AuthConfig
	id     string
}

// Format keeps the credentials out of logs and errors, whatever the verb.
func (Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(credentials)") }

// IsZero reports whether c is anonymous.
func (c Credentials) IsZero() bool { return c.id == "" }

// ID tells credentials apart and tells nothing else of them; "" for none.
func (c Credentials) ID() string { return c.id }

func (c Credentials) authenticator() authn.Authenticator {
	if c.IsZero() {
		return authn.Anonymous
	}
	return authn.FromConfig(*c.config)
}

// ParseDockerConfig picks from the content of a kubernetes.io/dockerconfigjson
// Secret the entry for repo: the longest key of "auths" that is the registry's
// host or the host and a prefix of the path, as the kubelet does. An error
// never repeats the content.
// https://kubernetes.io/docs/concepts/containers/images/#config-json
func ParseDockerConfig(raw []byte, repo Repository) (Credentials, error) {
	var config struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			Username      string `json:"username"`
			Password      string `json:"password"`
			IdentityToken string `json:"identitytoken"`
			RegistryToken string `json:"registrytoken"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return Credentials{}, errors.New(`expected JSON with an object "auths", found something else`)
	}
	best, length := "", -1
	for _, key := range slices.Sorted(maps.Keys(config.Auths)) { // Of two keys for one place, always the same.
		if place := authPlace(key); matchesPlace(repo, place) && len(place) > length {
			best, length = key, len(place)
		}
	}
	if length < 0 {
		return Credentials{}, fmt.Errorf(`expected an entry of "auths" for %s, found %d entries for others`, repo.Host(), len(config.Auths))
	}
	entry := config.Auths[best]
	auth := authn.AuthConfig{Username: entry.Username, Password: entry.Password, IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken}
	if entry.Auth != "" {
		decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
		username, password, ok := strings.Cut(string(decoded), ":")
		if err != nil || !ok {
			return Credentials{}, fmt.Errorf(`expected "auth" of the entry for %s to be base64 of user:password, found something else`, repo.Host())
		}
		auth.Username, auth.Password = username, strings.TrimRight(password, "\x00")
	}
	if auth == (authn.AuthConfig{}) {
		return Credentials{}, fmt.Errorf(`expected credentials in the entry for %s, found none`, repo.Host())
	}
	return NewCredentials(auth), nil
}

// NewCredentials takes credentials that were found elsewhere. Its zero value is
// anonymous.
func NewCredentials(auth authn.AuthConfig) Credentials {
	if none := (authn.AuthConfig{}); auth == none {
		return Credentials{}
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{auth.Username, auth.Password, auth.IdentityToken, auth.RegistryToken}, "\x00")))
	return Credentials{config: &auth, id: hex.EncodeToString(sum[:])}
}

// authPlace normalises a key of "auths" to host[/path].
func authPlace(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.TrimSuffix(key, "/")
	host, path, _ := strings.Cut(key, "/")
	if path == "v1" || path == "v2" {
		path = ""
	}
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = "index.docker.io"
	}
	if path == "" {
		return host
	}
	return host + "/" + path
}

func matchesPlace(repo Repository, place string) bool {
	full := repo.Host() + "/" + repo.repo.RepositoryStr()
	return full == place || strings.HasPrefix(full, place+"/")
}
