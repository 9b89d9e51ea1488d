package registry

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
)

func TestParseDockerConfig(t *testing.T) {
	basic := func(user, password string) string {
		return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	tests := map[string]struct {
		config string
		url    string // default oci://ghcr.io/org/app
		want   authn.AuthConfig
		err    string
	}{
		"username and password": {
			config: `{"auths":{"ghcr.io":{"username":"u","password":"p"}}}`,
			want:   authn.AuthConfig{Username: "u", Password: "p"},
		},
		"auth": {
			config: `{"auths":{"ghcr.io":{"auth":"` + basic("u", "p") + `"}}}`,
			want:   authn.AuthConfig{Username: "u", Password: "p"},
		},
		"auth before username and password": {
			config: `{"auths":{"ghcr.io":{"auth":"` + basic("u", "p") + `","username":"x","password":"y"}}}`,
			want:   authn.AuthConfig{Username: "u", Password: "p"},
		},
		"a password with colons": {
			config: `{"auths":{"ghcr.io":{"auth":"` + basic("u", "a:b:c") + `"}}}`,
			want:   authn.AuthConfig{Username: "u", Password: "a:b:c"},
		},
		"identity token": {
			config: `{"auths":{"ghcr.io":{"identitytoken":"t"}}}`,
			want:   authn.AuthConfig{IdentityToken: "t"},
		},
		"registry token": {
			config: `{"auths":{"ghcr.io":{"registrytoken":"t"}}}`,
			want:   authn.AuthConfig{RegistryToken: "t"},
		},
		"a key with a scheme and a slash": {
			config: `{"auths":{"https://ghcr.io/":{"username":"u","password":"p"}}}`,
			want:   authn.AuthConfig{Username: "u", Password: "p"},
		},
		"a key with a version of the API": {
			config: `{"auths":{"https://ghcr.io/v2/":{"username":"u","password":"p"}}}`,
			want:   authn.AuthConfig{Username: "u", Password: "p"},
		},
		"the longest path": {
			config: `{"auths":{"ghcr.io":{"username":"host","password":"p"},"ghcr.io/org":{"username":"org","password":"p"},"ghcr.io/org/app":{"username":"app","password":"p"}}}`,
			want:   authn.AuthConfig{Username: "app", Password: "p"},
		},
		"the longest path that matches": {
			config: `{"auths":{"ghcr.io":{"username":"host","password":"p"},"ghcr.io/org":{"username":"org","password":"p"},"ghcr.io/other/long/path":{"username":"other","password":"p"}}}`,
			want:   authn.AuthConfig{Username: "org", Password: "p"},
		},
		"a path matches whole components": {
			config: `{"auths":{"ghcr.io/or":{"username":"u","password":"p"}}}`,
			err:    `expected an entry of "auths" for ghcr.io, found 1 entries for others`,
		},
		"a host matches as a whole": {
			config: `{"auths":{"hcr.io":{"username":"u","password":"p"},"ghcr.io.evil.example":{"username":"u","password":"p"},"ghcr":{"username":"u","password":"p"}}}`,
			err:    `expected an entry of "auths" for ghcr.io, found 3 entries for others`,
		},
		"another port": {
			config: `{"auths":{"ghcr.io:5000":{"username":"u","password":"p"}}}`,
			err:    `expected an entry of "auths" for ghcr.io, found 1 entries for others`,
		},
		"a port": {
			url:    "oci://registry.example.com:5000/app",
			config: `{"auths":{"registry.example.com:5000":{"username":"u","password":"p"},"registry.example.com":{"username":"x","password":"y"}}}`,
			want:   authn.AuthConfig{Username: "u", Password: "p"},
		},
		"Docker Hub by the name that docker login writes": {
			url: "oci://docker.io/org/app", config: `{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}`,
			want: authn.AuthConfig{Username: "u", Password: "p"},
		},
		"Docker Hub by its short name": {
			url: "oci://docker.io/org/app", config: `{"auths":{"docker.io":{"username":"u","password":"p"}}}`,
			want: authn.AuthConfig{Username: "u", Password: "p"},
		},
		"Docker Hub by the name of its registry": {
			url: "oci://docker.io/org/app", config: `{"auths":{"registry-1.docker.io":{"username":"u","password":"p"}}}`,
			want: authn.AuthConfig{Username: "u", Password: "p"},
		},
		"Docker Hub with a path": {
			url: "oci://docker.io/org/app", config: `{"auths":{"docker.io":{"username":"x","password":"p"},"docker.io/org":{"username":"u","password":"p"}}}`,
			want: authn.AuthConfig{Username: "u", Password: "p"},
		},
		"no JSON":               {config: `hunter2`, err: `expected JSON with an object "auths", found something else`},
		"nothing":               {config: ``, err: `expected JSON with an object "auths", found something else`},
		"auths of a wrong type": {config: `{"auths":"hunter2"}`, err: `expected JSON with an object "auths", found something else`},
		"a wrong type inside":   {config: `{"auths":{"ghcr.io":{"username":{"hunter2":1}}}}`, err: `expected JSON with an object "auths", found something else`},
		"no auths":              {config: `{"credHelpers":{"ghcr.io":"hunter2"}}`, err: `expected an entry of "auths" for ghcr.io, found 0 entries for others`},
		"an empty entry":        {config: `{"auths":{"ghcr.io":{}}}`, err: `expected credentials in the entry for ghcr.io, found none`},
		"auth is not base64":    {config: `{"auths":{"ghcr.io":{"auth":"hunter2!"}}}`, err: `expected "auth" of the entry for ghcr.io to be base64 of user:password, found something else`},
		"auth has no colon": {
			config: `{"auths":{"ghcr.io":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("hunter2")) + `"}}}`,
			err:    `expected "auth" of the entry for ghcr.io to be base64 of user:password, found something else`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.url == "" {
				tt.url = "oci://ghcr.io/org/app"
			}
			found, err := ParseDockerConfig([]byte(tt.config), repository(t, tt.url, false))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("expected the error %q, found %v", tt.err, err)
				}
				if !found.IsZero() {
					t.Error("expected no credentials with an error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, found.config); diff != "" {
				t.Errorf("credentials (-expected +found):\n%s", diff)
			}
		})
	}
}

// Two keys that mean the same place: one of them is taken, and always the same
// one.
func TestParseDockerConfigIsDeterministic(t *testing.T) {
	config := []byte(`{"auths":{"ghcr.io":{"username":"a","password":"p"},"https://ghcr.io":{"username":"b","password":"p"},"ghcr.io/v2/":{"username":"c","password":"p"}}}`)
	repo := repository(t, "oci://ghcr.io/org/app", false)
	seen := map[string]bool{}
	for range 100 {
		found, err := ParseDockerConfig(config, repo)
		if err != nil {
			t.Fatal(err)
		}
		seen[found.config.Username] = true
	}
	if len(seen) != 1 {
		t.Errorf("expected one of them, found %v", seen)
	}
}

// What is not the same must not share a session.
func TestCredentialsAreToldApart(t *testing.T) {
	configs := []string{
		`{"username":"ab","password":"c"}`, `{"username":"a","password":"bc"}`, `{"username":"ab","password":"d"}`,
		`{"identitytoken":"ab"}`, `{"registrytoken":"ab"}`, `{"username":"ab","identitytoken":"c"}`,
	}
	seen := map[string]string{}
	for _, c := range configs {
		found, err := ParseDockerConfig([]byte(`{"auths":{"ghcr.io":`+c+`}}`), repository(t, "oci://ghcr.io/org/app", false))
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[found.id]; ok || found.id == "" {
			t.Errorf("%s has the identity %q of %q", c, found.id, other)
		}
		seen[found.id] = c
	}
}

func TestCredentialsPrintAsPlaceholder(t *testing.T) {
	c, err := ParseDockerConfig([]byte(`{"auths":{"ghcr.io":{"username":"someone","password":"hunter2"}}}`), repository(t, "oci://ghcr.io/org/app", false))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(c) //nolint:staticcheck // SA9005: that nothing of it is exported is the point
	if err != nil {
		t.Fatal(err)
	}
	request := struct {
		Credentials Credentials
		Pointer     *Credentials
	}{c, &c}
	texts := []string{string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c), fmt.Sprintf(verb, []Credentials{c}), fmt.Sprintf(verb, request))
	}
	hexed := fmt.Sprintf("%x", "hunter2")
	for _, text := range texts {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "someone") || strings.Contains(text, hexed) {
			t.Errorf("the credentials are in %q", text)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); text != "(credentials)" {
			t.Errorf("%s: expected the placeholder, found %q", verb, text)
		}
	}
	// A Client holds them in an unexported field, where fmt calls no method.
	client := newPool(t).Client(repository(t, "oci://ghcr.io/org/app", false), c)
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if text := fmt.Sprintf(verb, client); strings.Contains(text, "hunter2") {
			t.Errorf("%s of a Client holds the password", verb)
		}
	}
}
