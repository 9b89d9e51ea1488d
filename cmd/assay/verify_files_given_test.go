package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// oneSource is the smallest ModuleSource that is looked at, with its key in a
// Secret.
const oneSource = `apiVersion: source.assay.dev/v1alpha1
kind: ModuleSource
metadata: {name: app, namespace: apps}
spec:
  url: oci://HOST/app
  version: 1.0.0
  insecure: true
  verify:
    authorities:
      - name: release-key
        key: {secretRef: {name: release-key}}
        transparencyLog: Ignore
`

// file writes a file into the scene's folder.
func (s *filesScene) file(name, content string) {
	s.t.Helper()
	s.must(os.MkdirAll(filepath.Dir(name), 0o700))
	s.must(os.WriteFile(name, []byte(strings.ReplaceAll(content, "HOST", s.server.Host())), 0o600))
}

// expect fails unless a command line ended with a code, and its output says
// something.
func (r ran) expect(t *testing.T, code int, says ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("expected %d, found %d: %s%s", code, r.code, r.out, r.err)
	}
	for _, text := range says {
		if !strings.Contains(r.out+r.err, text) {
			t.Errorf("expected %q in what it says, found %s%s", text, r.out, r.err)
		}
	}
}

// TestVerifyFilesExitCodes: 0 for verified and for nothing, 1 for what must not be
// applied, 2 for what could not be judged.
func TestVerifyFilesExitCodes(t *testing.T) {
	s := newFilesScene(t)
	s.file("keys/cosign.pub", string(s.key.PublicPEM()))
	keys := []string{"--secret", "release-key=keys"}
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"verified":            {args: []string{"-f", "deploy/app.yaml"}, code: exitOK, says: "2 ModuleSources in 1 file: 2 verified"},
		"verified, two files": {args: []string{"-f", "deploy/app.yaml", "-f", "deploy/keyless.yml"}, code: exitOK, says: "3 ModuleSources in 2 files: 3 verified"},
		"the same file twice": {args: []string{"-f", "deploy/app.yaml", "-f", "./deploy/app.yaml"}, code: exitOK, says: "2 ModuleSources in 1 file: 2 verified"},
		"refused":             {args: append(keys, "-f", "deploy/refused.yaml"), code: exitRefused, says: "3 refused, 1 not publishable"},
		"invalid":             {args: []string{"-f", "deploy/invalid.yaml"}, code: exitRefused, says: "4 invalid"},
		"unreadable":          {args: []string{"-f", "deploy/app.yaml", "-f", "deploy/template.yaml"}, code: exitRefused, says: "1 document cannot be read"},
		"unknown":             {args: append(keys, "-f", "deploy/app.yaml", "-f", "deploy/unknown.yaml"), code: exitFailed, says: "2 verified, 2 not judged"},
		"refused and unknown": {args: append(keys, "-f", "deploy/refused.yaml", "-f", "deploy/unknown.yaml"), code: exitRefused, says: "3 refused, 1 not publishable, 2 not judged"},
		"nothing":             {args: []string{"-f", "deploy/values.yaml"}, code: exitOK, says: "no ModuleSource in 1 file: nothing to verify"},
		"one after the other": {args: []string{"-f", "deploy/app.yaml", "--concurrent", "1"}, code: exitOK, says: "2 verified"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { s.verify(tt.args...).expect(t, tt.code, tt.says) })
	}
}

// TestVerifyFilesOfAKustomization: what only kustomize makes is nothing here, and
// that is said.
func TestVerifyFilesOfAKustomization(t *testing.T) {
	s := newFilesScene(t)
	s.file("overlay/kustomization.yaml", "resources: [https://example.com/app.yaml]\n")
	s.verify("-f", "overlay").expect(t, exitOK, "no ModuleSource in 0 files", "kustomize build overlay | assay verify -f -")
}

func TestVerifyFilesUsage(t *testing.T) {
	s := newFilesScene(t)
	s.file("pem.txt", "no key")
	s.file("encrypted.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: release-key}\nsops: {version: 3.9.0}\n")
	s.file("empty/folder/x", "")
	s.file("broken.kubeconfig", "{")
	tests := map[string]struct {
		args []string
		says string
	}{
		"no file":                {args: []string{"-f", "nowhere"}, says: `-f: expected a file, a folder or - for standard input, found nothing at "nowhere"`},
		"no such format":         {args: []string{"-f", "deploy", "-o", "xml"}, says: "--output: expected json, yaml, junit, github"},
		"a module, too":          {args: []string{"-f", "deploy", "oci://ghcr.io/org/app"}, says: "expected manifests (-f) or a module, found both"},
		"a second file":          {args: []string{"-f", "deploy/app.yaml", "deploy/list.json"}, says: "Try: assay verify -f deploy/list.json"},
		"a key":                  {args: []string{"-f", "deploy", "--cosign-key", "cosign.pub"}, says: "--cosign-key: expected a module, found -f"},
		"a version":              {args: []string{"-f", "deploy", "--version", "1.0.0"}, says: "--version: expected a module, found -f"},
		"secret without":         {args: []string{"oci://ghcr.io/org/app", "--secret", "a=b"}, says: "expected it together with -f, found no -f"},
		"too many":               {args: []string{"-f", "deploy", "--concurrent", "65"}, says: "--concurrent: expected a number from 1 to 64, found 65"},
		"none":                   {args: []string{"-f", "deploy", "--concurrent", "0"}, says: "--concurrent: expected a number from 1 to 64, found 0"},
		"address":                {args: []string{"-f", "deploy", "--dial-allow", "localhost"}, says: `--dial-allow: expected addresses or CIDRs such as 127.0.0.0/8, found "localhost"`},
		"no timeout":             {args: []string{"-f", "deploy", "--timeout", "0s"}, says: "--timeout: expected more than 0"},
		"secret without a file":  {args: []string{"-f", "deploy", "--secret", "release-key"}, says: "--secret: expected NAME=FILE or NAMESPACE/NAME=FILE"},
		"secret's name":          {args: []string{"-f", "deploy", "--secret", "Release_Key=pem.txt"}, says: "--secret: expected NAME=FILE or NAMESPACE/NAME=FILE"},
		"secret's namespace":     {args: []string{"-f", "deploy", "--secret", "a.b/c=pem.txt"}, says: "--secret: expected NAME=FILE or NAMESPACE/NAME=FILE"},
		"secret from nowhere":    {args: []string{"-f", "deploy", "--secret", "release-key=nowhere"}, says: "expected a file or folder: no such file"},
		"secret of another name": {args: []string{"-f", "deploy", "--secret", "other=deploy/app.yaml"}, says: "deploy/app.yaml: expected a Secret of the name other, found release-key"},
		"secret is encrypted":    {args: []string{"-f", "deploy", "--secret", "release-key=encrypted.yaml"}, says: "Secret release-key: expected one that can be read: it is encrypted with SOPS"},
		"secret's folder":        {args: []string{"-f", "deploy", "--secret", "release-key=empty"}, says: "empty: expected files in the folder, found none"},
		"configmap's entry":      {args: []string{"-f", "deploy", "--configmap", "keys=a b=pem.txt"}, says: "write keys=ENTRY=FILE"},
		"no kubeconfig":          {args: []string{"-f", "deploy", "--kubeconfig", "nowhere"}, says: `--kubeconfig: expected a file, found nothing at "nowhere"`},
		"broken kubeconfig":      {args: []string{"-f", "deploy", "--kubeconfig", "broken.kubeconfig"}, says: "--kubeconfig: "},
		"no root":                {args: []string{"-f", "deploy/app.yaml", "--tuf-root", "nowhere"}, says: "--tuf-root"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.verify(tt.args...)
			got.expect(t, exitUsage, tt.says)
			if got.out != "" {
				t.Errorf("expected nothing on standard output, found %s", got.out)
			}
		})
	}
	assay(t, "verify", "oci://ghcr.io/org/app", "-o", "junit").expect(t, exitUsage, "--output junit: expected it together with -f, found no -f", "Try: assay verify -f ./deploy -o junit")
}

// TestVerifyFilesGiven: each way in which a key that is not in the manifests can
// be given.
func TestVerifyFilesGiven(t *testing.T) {
	s := newFilesScene(t)
	s.file("app.yaml", oneSource)
	key, other := string(s.key.PublicPEM()), string(s.other.PublicPEM())
	s.file("keys/cosign.pub", key)
	s.file("keys/README", "not a key")
	s.file("cosign.pub", key)
	s.file("cosign.pem", key)
	s.file("a=b.pub", key)
	s.file("other.pub", other)
	s.file("broken.pub", "-----BEGIN PUBLIC KEY-----\nsecret\n-----END PUBLIC KEY-----\n")
	manifest := func(namespace, content string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: release-key%s}\ndata: {cosign.pub: %s}\n", namespace, base64.StdEncoding.EncodeToString([]byte(content)))
	}
	s.file("secret.yaml", manifest("", key))
	s.file("apps.yaml", manifest(", namespace: apps", key))
	s.file("two.yaml", manifest("", key)+"---\n"+manifest("", other))
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"none":                       {code: exitFailed, says: `Secret "release-key": it is not in the manifests: give it with --secret release-key=FILE, or have it read from a cluster with --kubeconfig FILE`},
		"folder":                     {args: []string{"--secret", "release-key=keys"}, says: "1 verified"},
		"file":                       {args: []string{"--secret", "release-key=cosign.pub"}, says: "1 verified"},
		"file with a sign":           {args: []string{"--secret", "release-key=a=b.pub"}, code: exitUsage, says: "write release-key=ENTRY=FILE"},
		"file, its namespace":        {args: []string{"--secret", "apps/release-key=cosign.pub"}, says: "1 verified"},
		"file, another namespace":    {args: []string{"--secret", "other/release-key=cosign.pub"}, code: exitFailed, says: "it is not in the manifests"},
		"file of another name":       {args: []string{"--secret", "release-key=cosign.pem"}, code: exitRefused, says: "expected an entry whose name ends in .pub, found none among 1 entries"},
		"file under an entry's name": {args: []string{"--secret", "release-key=cosign.pub=cosign.pem"}, says: "1 verified"},
		"two files":                  {args: []string{"--secret", "release-key=other.pub", "--secret", "release-key=cosign.pub"}, says: "1 verified"},
		"another key":                {args: []string{"--secret", "release-key=other.pub"}, code: exitRefused, says: "KeyMismatch"},
		"no key":                     {args: []string{"--secret", "release-key=broken.pub"}, code: exitRefused, says: "InvalidTrust"},
		"manifest":                   {args: []string{"--secret", "release-key=secret.yaml"}, says: "1 verified"},
		"manifest, its namespace":    {args: []string{"--secret", "apps/release-key=apps.yaml"}, says: "1 verified"},
		"manifest, another":          {args: []string{"--secret", "b/release-key=apps.yaml"}, code: exitUsage, says: "expected a Secret of the name release-key"},
		"as a ConfigMap":             {args: []string{"--configmap", "release-key=cosign.pub"}, code: exitFailed, says: "it is not in the manifests"},
		"in the manifests":           {args: []string{"-f", "apps.yaml"}, says: "1 verified"},
		"in another namespace":       {args: []string{"-f", "secret.yaml"}, code: exitFailed, says: "(one of the same name is in the namespace default, in secret.yaml:1:1)"},
		"in --namespace":             {args: []string{"-f", "secret.yaml", "-n", "apps"}, says: "1 verified"},
		"twice, with other content":  {args: []string{"-f", "two.yaml", "-n", "apps"}, code: exitFailed, says: "it is in two.yaml:1:1 and in two.yaml:6:1 with other content"},
		"given before the manifests": {args: []string{"-f", "two.yaml", "-n", "apps", "--secret", "release-key=cosign.pub"}, says: "1 verified"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.verify(append([]string{"-f", "app.yaml"}, tt.args...)...)
			got.expect(t, tt.code, tt.says)
			if strings.Contains(got.out+got.err, "secret\n-----") {
				t.Errorf("expected nothing of the file's content, found %s%s", got.out, got.err)
			}
		})
	}
}

// TestVerifyFilesTogether: what several manifests amount to.
func TestVerifyFilesTogether(t *testing.T) {
	s := newFilesScene(t)
	s.file("cosign.pub", string(s.key.PublicPEM()))
	s.file("a.yaml", oneSource)
	s.file("b.yaml", oneSource)
	keys := []string{"--secret", "release-key=cosign.pub"}
	s.verify(append(keys, "-f", "a.yaml", "-f", "b.yaml")...).expect(t, exitOK, "2 verified",
		"b.yaml:3:12: warning: apps/app: metadata.name: the same ModuleSource is in a.yaml:1:1")

	s.file("empty.yaml", strings.ReplaceAll(oneSource, "HOST/app", "HOST/empty"))
	s.verify(append(keys, "-f", "empty.yaml")...).expect(t, exitRefused, "1 not publishable")

	// What is missing may be there tomorrow: until then nobody knows.
	second := "      - name: other\n        key: {configMapRef: {name: none}}\n        transparencyLog: Ignore\n"
	s.file("two.yaml", strings.Replace(oneSource, "    authorities:", "    threshold: 1\n    authorities:", 1)+second+
		"---\napiVersion: v1\nkind: Secret\nmetadata: {name: release-key, namespace: apps}\n")
	s.verify("-f", "two.yaml").expect(t, exitFailed, "expected an entry whose name ends in .pub", `ConfigMap "none": it is not in the manifests`, "TrustUnavailable")
}

// TestVerifyFilesTimeout: each has its own spec.timeout, and all of them --timeout.
func TestVerifyFilesTimeout(t *testing.T) {
	s := newFilesScene(t)
	s.file("cosign.pub", string(s.key.PublicPEM()))
	s.file("short.yaml", strings.Replace(oneSource, "spec:", "spec:\n  timeout: 1s", 1))
	s.file("long.yaml", strings.Replace(oneSource, "name: app,", "name: long,", 1))
	s.server.Intercept(registry.Hang)
	keys := []string{"--secret", "release-key=cosign.pub"}
	s.verify(append(keys, "-f", "short.yaml")...).expect(t, exitFailed, "no answer in time: it took longer than spec.timeout, which is 1s")
	s.verify(append(keys, "-f", "long.yaml", "--timeout", "100ms")...).expect(t, exitFailed, "it took longer than --timeout, which is 100ms")
}

func TestVerifyFilesInterrupted(t *testing.T) {
	s := newFilesScene(t)
	term, out, errs := fakeTerminal()
	ctx, cancel := context.WithCancel(t.Context())
	s.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		registry.Hang(w, r, next)
	})
	got := ran{code: run(ctx, term, []string{"verify", "-f", "deploy/app.yaml", "--dial-allow", "127.0.0.1", "--trusted-root", s.root})}
	got.out, got.err = out.String(), errs.String()
	got.expect(t, exitFailed, "assay: interrupted")
	if got.out != "" {
		t.Errorf("expected no report, found %s", got.out)
	}
}

// TestVerifyFilesDialsAsTheController: a manifest does not send the machine that
// checks it to its own services.
func TestVerifyFilesDialsAsTheController(t *testing.T) {
	s := newFilesScene(t)
	s.server.Reset()
	got := assay(t, "verify", "-f", "deploy/app.yaml", "--trusted-root", s.root)
	got.expect(t, exitFailed, "2 not judged", "--dial-allow")
	if n := len(s.server.Requests()); n != 0 {
		t.Errorf("expected no request, found %d", n)
	}
}

// TestVerifyFilesStdin: what kustomize renders, on standard input.
func TestVerifyFilesStdin(t *testing.T) {
	s := newFilesScene(t)
	raw, err := os.ReadFile("deploy/refused.yaml")
	s.must(err)
	for format, file := range map[string]string{"": "stdin.txt", "junit": "stdin.xml", "github": "stdin.github", "json": "stdin.json"} {
		got := s.verifyInput(string(raw), map[string]string{"GITHUB_WORKSPACE": "/"}, "-f", "-", "-o", format)
		got.expect(t, exitRefused)
		s.golden(file, got.out)
	}
	s.verifyInput("# nothing\n", nil, "-f", "-").expect(t, exitOK, "no ModuleSource in 1 file")
	s.verifyInput("\n", nil, "-f", "-").expect(t, exitFailed, "expected manifests on standard input, found nothing")
}

// TestVerifyFilesCredentials: spec.secretRef from the manifests, given, or, where
// it is not there, the user's own.
func TestVerifyFilesCredentials(t *testing.T) {
	s := newFilesScene(t)
	private, err := registry.Distribution(registry.Options{Auth: registry.BasicAuth{User: "robot", Password: "hunter2"}})
	s.must(err)
	t.Cleanup(func() { _ = private.Close() })
	image, err := module.New(module.Options{Version: "1.0.0"})
	s.must(err)
	login := remote.WithAuth(&authn.Basic{Username: "robot", Password: "hunter2"})
	digest, err := module.Push(t.Context(), private.Host()+"/app:1.0.0", image, login)
	s.must(err)
	s.must(signing.SignCosign(t.Context(), private.Host()+"/app@"+digest, s.key, login))
	s.file("app.yaml", strings.ReplaceAll(strings.ReplaceAll(oneSource, "HOST", private.Host()), "  verify:", "  secretRef: {name: pull}\n  verify:"))
	s.file("suspended.yaml", strings.ReplaceAll(strings.ReplaceAll(oneSource, "HOST", private.Host()), "  verify:", "  secretRef: {name: pull}\n  suspend: true\n  verify:"))
	s.file("anonymous.yaml", strings.ReplaceAll(oneSource, "HOST", private.Host()))
	s.file("cosign.pub", string(s.key.PublicPEM()))
	right := dockerConfig(private.Host(), "robot", "hunter2")
	s.file("config.json", right)
	s.file("wrong.json", dockerConfig(private.Host(), "robot", "hunter1"))
	s.file("others.json", dockerConfig("ghcr.io", "robot", "hunter2"))
	s.file("pull.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: apps}\ntype: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: "+base64.StdEncoding.EncodeToString([]byte(right))+"}\n")
	s.file("sealed.yaml", "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: pull, namespace: apps}\n")
	home, err := filepath.Abs("home")
	s.must(err)
	s.file("home/config.json", right)
	nobody := t.TempDir()
	tests := map[string]struct {
		docker string
		args   []string
		code   int
		says   []string
	}{
		"as the controller":   {docker: home, args: []string{"-f", "app.yaml", "--secret", "pull=config.json"}, code: exitRefused, says: []string{"spec.secretRef: expected no credentials together with insecure: true"}},
		"as the controller 2": {docker: home, args: []string{"-f", "app.yaml"}, code: exitRefused, says: []string{"spec.secretRef: expected no credentials together with insecure: true"}},
		"given, suspended":    {docker: nobody, args: []string{"-f", "suspended.yaml", "--secret", "pull=config.json", "--allow-insecure-credentials"}, says: []string{"1 verified", "it is suspended"}},
		"given":               {docker: nobody, args: []string{"-f", "app.yaml", "--secret", "pull=config.json", "--allow-insecure-credentials"}, says: []string{"1 verified"}},
		"given, wrong":        {docker: home, args: []string{"-f", "app.yaml", "--secret", "pull=wrong.json", "--allow-insecure-credentials"}, code: exitFailed, says: []string{"AuthenticationFailed"}},
		"given, for others":   {docker: home, args: []string{"-f", "app.yaml", "--secret", "pull=others.json", "--allow-insecure-credentials"}, code: exitFailed, says: []string{`expected an entry of "auths" for`}},
		"in the manifests":    {docker: nobody, args: []string{"-f", "app.yaml", "-f", "pull.yaml", "--allow-insecure-credentials"}, says: []string{"1 verified"}},
		"the user's":          {docker: home, args: []string{"-f", "app.yaml", "--allow-insecure-credentials"}, says: []string{"1 verified", `note: apps/app: spec.secretRef: the Secret "pull" cannot be read here: the registry was asked with the credentials of your own Docker configuration`}},
		"sealed":              {docker: home, args: []string{"-f", "app.yaml", "-f", "sealed.yaml", "--allow-insecure-credentials"}, says: []string{"1 verified", "your own Docker configuration"}},
		"the user has none":   {docker: nobody, args: []string{"-f", "app.yaml", "--allow-insecure-credentials"}, code: exitFailed, says: []string{"AuthenticationFailed", "the registry was asked with no credentials"}},
		"not without a field": {docker: home, args: []string{"-f", "anonymous.yaml", "--allow-insecure-credentials"}, code: exitFailed, says: []string{"AuthenticationFailed"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", tt.docker)
			got := s.verify(append(tt.args, "--secret", "release-key=cosign.pub")...)
			got.expect(t, tt.code, tt.says...)
			if strings.Contains(got.out+got.err, "hunter") {
				t.Errorf("a password is in what it says: %s%s", got.out, got.err)
			}
		})
	}
}

func dockerConfig(host, user, password string) string {
	raw, _ := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}}})
	return string(raw)
}

// TestVerifyFilesCluster: what is not in the manifests is read from a cluster, and
// nothing else is asked of it.
func TestVerifyFilesCluster(t *testing.T) {
	s := newFilesScene(t)
	s.file("app.yaml", oneSource)
	var asked []string
	answers := map[string]func(http.ResponseWriter){}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		if answer, ok := answers[r.URL.Path]; ok {
			answer(w)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}))
	t.Cleanup(api.Close)
	s.file("kubeconfig", `apiVersion: v1
kind: Config
current-context: staging
clusters: [{name: c, cluster: {server: `+api.URL+`}}]
users: [{name: u, user: {}}]
contexts:
  - {name: staging, context: {cluster: c, user: u, namespace: elsewhere}}
`)
	const path = "/api/v1/namespaces/apps/secrets/release-key"
	args := []string{"-f", "app.yaml", "--kubeconfig", "kubeconfig"}
	s.verify(args...).expect(t, exitFailed, `it is neither in the manifests nor in the cluster (context "staging"): give it with --secret release-key=FILE`)

	answers[path] = func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }
	s.verify(args...).expect(t, exitFailed, `the cluster (context "staging") did not answer with it`, "TrustUnavailable")

	answers[path] = func(w http.ResponseWriter) {
		fmt.Fprintf(w, `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"release-key","namespace":"apps"},"data":{"cosign.pub":%q}}`, base64.StdEncoding.EncodeToString(s.key.PublicPEM()))
	}
	s.verify(args...).expect(t, exitOK, "1 verified")
	s.verify("-f", "app.yaml", "--kubeconfig", "kubeconfig", "--context", "production").expect(t, exitUsage, "expected a cluster, found none that can be used")
	if diff := cmp.Diff([]string{"GET " + path, "GET " + path, "GET " + path}, asked); diff != "" {
		t.Errorf("requests (-expected +found):\n%s", diff)
	}
}
