package story

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

const (
	user     = "robot"
	password = "correct-horse-battery-staple"
	wrong    = "wrong-horse-battery-staple"
)

var auths = map[string]func() registry.Auth{
	"basic": func() registry.Auth { return registry.BasicAuth{User: user, Password: password} },
	"token": func() registry.Auth { return &registry.TokenAuth{User: user, Password: password} },
}

// guarded is a world whose registry asks for credentials, with a signed module
// in it, and whose controller sends credentials over plain HTTP.
func guarded(t *testing.T, auth registry.Auth, logged *log) (*world, string) {
	t.Helper()
	w := newWorld(t, settings{registry: registry.Options{Auth: auth}, options: func(o *controllers.Options) {
		o.AllowInsecureCredentials = true
		logged.into(o)
	}})
	image, err := module.New(module.Options{Version: "1.0.0", Files: versionFile("1.0.0")})
	if err != nil {
		t.Fatal(err)
	}
	as := remote.WithAuth(&authn.Basic{Username: user, Password: password})
	digest, err := module.Push(background, w.repo("app")+":1.0.0", image, as)
	if err != nil {
		t.Fatal(err)
	}
	if err := signing.SignBundle(background, w.repo("app")+"@"+digest, w.key, as); err != nil {
		t.Fatal(err)
	}
	return w, digest
}

// dockerConfig is a pull Secret.
func dockerConfig(name, content string) *corev1.Secret {
	s := secret(name, map[string]string{corev1.DockerConfigJsonKey: content})
	s.Type = corev1.SecretTypeDockerConfigJson
	return s
}

// login is the content of a pull Secret for a registry.
func login(host, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, basic(password))
}

func basic(password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func pulls(secret string) func(*v1alpha1.ModuleSourceSpec) {
	return func(s *v1alpha1.ModuleSourceSpec) {
		s.Version, s.SecretRef = "1.0.0", &v1alpha1.LocalObjectReference{Name: secret}
	}
}

// A registry that asks for credentials gives to whom has them, and everybody
// else is told what is wrong with theirs; no secret is told to anybody.
func TestStoryCredentials(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		secret func(host string) *corev1.Secret
		says   []string // nil where it works
	}{
		"right": {func(host string) *corev1.Secret { return dockerConfig("right", login(host, password)) }, nil},
		"right-for-the-repository": {func(host string) *corev1.Secret {
			return dockerConfig("", fmt.Sprintf(`{"auths":{%q:{"auth":%q},"http://%s/app":{"username":%q,"password":%q}}}`, host, basic(wrong), host, user, password))
		}, nil},
		"none":    {nil, []string{"401 Unauthorized"}},
		"wrong":   {func(host string) *corev1.Secret { return dockerConfig("", login(host, wrong)) }, []string{"401 Unauthorized"}},
		"missing": {func(string) *corev1.Secret { return nil }, []string{`spec.secretRef: Secret "missing"`, "does not exist"}},
		"of-another-type": {func(host string) *corev1.Secret {
			return secret("", map[string]string{corev1.DockerConfigJsonKey: login(host, password)})
		}, []string{`Secret "of-another-type"`, "expected the type kubernetes.io/dockerconfigjson", `found type "Opaque"`}},
		"malformed": {func(host string) *corev1.Secret {
			return dockerConfig("", fmt.Sprintf(`{"auths":[%q]}`, password))
		}, []string{`Secret "malformed"`, "entry .dockerconfigjson", `expected JSON with an object "auths"`}},
		"malformed-auth": {func(host string) *corev1.Secret {
			return dockerConfig("", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, password))
		}, []string{`Secret "malformed-auth"`, "base64"}},
		"for-another-registry": {func(string) *corev1.Secret {
			return dockerConfig("", login("ghcr.io", password))
		}, []string{`Secret "for-another-registry"`, `expected an entry of "auths" for`, "found 1 entries for others"}},
		"empty": {func(host string) *corev1.Secret { return dockerConfig("", fmt.Sprintf(`{"auths":{%q:{}}}`, host)) }, []string{`Secret "empty"`, "expected credentials", "found none"}},
	}
	for kind, auth := range auths {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			logged := &log{}
			w, digest := guarded(t, auth(), logged)
			tokens := w.tokens()
			for name, row := range rows {
				edit := versioned("1.0.0")
				if row.secret != nil {
					edit = pulls(name)
					if s := row.secret(w.registry.Host()); s != nil {
						s.Name = name
						w.change(s)
					}
				}
				w.apply(name, w.spec("app", edit))
			}
			for name, row := range rows {
				if row.says == nil {
					w.expect(w.settled(name), w.released("1.0.0", digest))
					w.again(name)
					w.tells(name, "Normal SignatureVerified")
					continue
				}
				w.expect(w.settled(name), expectation{conditions: unreachable("AuthenticationFailed"), says: map[string][]string{
					"Verified": row.says, "FetchFailed": row.says, "Reconciling": row.says, "Ready": row.says,
				}})
				w.again(name)
				w.told(w.tells(name, "Warning AuthenticationFailed"), row.says...)
			}
			text := logged.String()
			for name := range rows {
				text += w.asText(name)
			}
			for _, never := range append(tokens(), password, wrong, basic(password), basic(wrong)) {
				if strings.Contains(text, never) {
					t.Errorf("expected %q nowhere, found it in\n%s", never, text)
				}
			}
		})
	}
}

// tokens notes the bearer tokens that are sent, and returns what tells them.
func (w *world) tokens() func() []string {
	var mu sync.Mutex
	var seen []string
	w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			mu.Lock()
			seen = append(seen, token)
			mu.Unlock()
		}
		next.ServeHTTP(rw, r)
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// The verdict on what was published does not depend on the credentials.
func TestStoryCredentialsGoAndComeBack(t *testing.T) {
	t.Parallel()
	for kind, auth := range auths {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w, digest := guarded(t, auth(), &log{})
			right := dockerConfig("pull", login(w.registry.Host(), password))
			w.change(right.DeepCopy())
			w.apply("app", w.spec("app", pulls("pull")))
			w.expect(w.ready("app"), w.released("1.0.0", digest))

			w.change(dockerConfig("pull", login(w.registry.Host(), wrong)))
			want := w.released("1.0.0", digest)
			want.conditions = notPolled(published(), "AuthenticationFailed")
			want.says = map[string][]string{"FetchFailed": {w.repo("app"), "401 Unauthorized"}}
			w.expect(w.poll("app"), want)
			w.expect(w.again("app"), want)

			w.delete(right.DeepCopy())
			want.says = map[string][]string{"FetchFailed": {`Secret "pull"`, "does not exist"}}
			w.expect(w.poll("app"), want)
			w.expect(w.again("app"), want)

			// While it is suspended, nobody needs them.
			w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true })
			w.settled("app")
			w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = false })
			w.expect(w.settled("app"), want)

			w.change(right.DeepCopy())
			w.expect(w.poll("app"), w.released("1.0.0", digest))
			w.tells("app", "Normal SignatureVerified", "Warning AuthenticationFailed", "Normal SignatureVerified")
		})
	}
}

// A token that the registry forgot is fetched again, without a word about it.
func TestStoryTokenExpires(t *testing.T) {
	t.Parallel()
	auth := &registry.TokenAuth{User: user, Password: password}
	w, digest := guarded(t, auth, &log{})
	w.change(dockerConfig("pull", login(w.registry.Host(), password)))
	w.apply("app", w.spec("app", pulls("pull")))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	auth.Expire()
	w.registry.Reset()
	w.expect(w.again("app"), w.released("1.0.0", digest))
	if counts := w.registry.Counts(); counts["GET token"] != 1 {
		t.Errorf("expected one new token, found %v", counts)
	}
	w.tells("app", "Normal SignatureVerified")
}

// Without the flag, credentials never go over plain HTTP.
func TestStoryInsecureCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	w.registry.Reset()
	w.change(dockerConfig("pull", login(w.registry.Host(), password)))
	w.apply("app", w.spec("app", pulls("pull")))
	says := []string{"spec.secretRef", "insecure: true", "--allow-insecure-credentials"}
	w.expect(w.settled("app"), expectation{conditions: invalidTrust("InvalidSpec"), says: map[string][]string{"Verified": says, "Stalled": says, "Ready": says}})
	w.again("app")
	if asked := w.registry.Counts(); len(asked) != 0 {
		t.Errorf("expected no request, found %v", asked)
	}

	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.SecretRef = nil })
	w.expect(w.settled("app"), w.released("1.0.0", digest))
	// And the other way round: nothing is withdrawn, and nothing asked.
	w.registry.Reset()
	w.edit("app", pulls("pull"))
	want := w.released("1.0.0", digest)
	want.conditions = keeping(invalidTrust("InvalidSpec"))
	w.expect(w.settled("app"), want)
	if asked := w.registry.Counts(); len(asked) != 0 {
		t.Errorf("expected no request, found %v", asked)
	}
	w.tells("app", "Warning InvalidSpec", "Normal SignatureVerified", "Warning InvalidSpec")
}
