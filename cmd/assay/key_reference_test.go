package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/test/registry"
)

// vault answers as the transit engine of HashiCorp Vault does for a key of P-256.
// https://developer.hashicorp.com/vault/api-docs/secret/transit
type vault struct {
	key   *ecdsa.PrivateKey
	token string
}

func (v vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Vault-Token") != v.token {
		http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
		return
	}
	switch {
	case r.URL.Path == "/v1/transit/keys/release":
		public, err := cryptoutils.MarshalPublicKeyToPEM(v.key.Public())
		answer(w, map[string]any{"latest_version": 1, "keys": map[string]any{"1": map[string]any{"name": "P-256", "public_key": string(public)}}}, err)
	case strings.HasPrefix(r.URL.Path, "/v1/transit/sign/release"):
		var request struct{ Input []byte }
		err := json.NewDecoder(r.Body).Decode(&request)
		if err != nil {
			answer(w, nil, err)
			return
		}
		raw, err := v.key.Sign(rand.Reader, request.Input, crypto.SHA256)
		answer(w, map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(raw)}, err)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, data map[string]any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// signedWith pushes a module that is signed with a key reference, and verifies it
// with the public half.
func signedWith(t *testing.T, reference string, public []byte, format string) {
	t.Helper()
	server := emptyRegistry(t, registry.Options{})
	url := "oci://" + server.Host() + "/app"
	got := assay(t, "push", moduleFolder(t, nil), url, "--version", "1.0.0", "--insecure",
		"--sign", "cosign", "--cosign-key", reference, "--tlog-upload=false", "--signature-format", format)
	if got.code != exitOK {
		t.Fatalf("%s: exit %d: %s", reference, got.code, got.err)
	}
	file := filepath.Join(t.TempDir(), "cosign.pub")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := assay(t, "verify", url, "--insecure", "--insecure-ignore-tlog", "--cosign-key", file); got.code != exitOK {
		t.Errorf("%s: exit %d: %s%s", reference, got.code, got.out, got.err)
	}
}

// TestSignWithKeyManagement: the private key never leaves the service.
func TestSignWithKeyManagement(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const token = "the-token-of-vault"
	server := httptest.NewServer(vault{key, token})
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", token)
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"cosign", "bundle"} {
		signedWith(t, "hashivault://release", public, format)
	}
	t.Setenv("VAULT_TOKEN", "another")
	registry := emptyRegistry(t, registry.Options{})
	got := assay(t, "push", moduleFolder(t, nil), "oci://"+registry.Host()+"/app", "--version", "1.0.0", "--insecure",
		"--sign", "cosign", "--cosign-key", "hashivault://release", "--tlog-upload=false")
	if got.code == exitOK || len(registry.Requests()) > 0 || strings.Contains(got.err, "another") {
		t.Errorf("another token: expected that nothing is pushed, found exit %d after %d requests: %s", got.code, len(registry.Requests()), got.err)
	}
	for _, reference := range []string{"awskms://", "azurekms://", "gcpkms://"} {
		if got := assay(t, "sign", "oci://127.0.0.1:1/app", "--cosign-key", reference+"none", "--tlog-upload=false"); got.code == exitOK || strings.Contains(got.err, "no such file") {
			t.Errorf("%s: expected its service to be asked, found exit %d: %s", reference, got.code, got.err)
		}
	}
}

// TestSignWithSecret: a key pair that is in a cluster, as Cosign keeps it there.
func TestSignWithSecret(t *testing.T) {
	kube, kubeconfig := startCluster(t)
	prefix := newKeyPair(t)
	data := map[string][]byte{"cosign.password": {}}
	for name, file := range map[string]string{"cosign.key": prefix + ".key", "cosign.pub": prefix + ".pub"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data[name] = raw
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "signing"}, Data: data}
	if err := kube.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	signedWith(t, "k8s://apps/signing", data["cosign.pub"], "cosign")
}

// TestCredentialHelper: what docker login stored in a helper is sent to the
// registry that it is for, to push and to read, and is not repeated.
func TestCredentialHelper(t *testing.T) {
	const password = "the-password-of-the-helper"
	server := emptyRegistry(t, registry.Options{Auth: registry.BasicAuth{User: "somebody", Password: password}})
	folder := t.TempDir()
	asked := filepath.Join(folder, "asked")
	helper := fmt.Sprintf("#!/bin/sh\nread host\necho >>"+asked+"\n[ \"$1 $host\" = \"get %s\" ] || { echo 'credentials not found in native keychain'; exit 1; }\necho '{\"Username\":\"somebody\",\"Secret\":\"%s\"}'\n", server.Host(), password)
	for name, content := range map[string]string{
		"docker-credential-test": helper,
		"config.json":            fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, server.Host()),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	url, module, prefix := "oci://"+server.Host()+"/app", moduleFolder(t, nil), newKeyPair(t)
	commands := [][]string{
		{"push", module, url, "--version", "1.0.0", "--sign", "cosign", "--cosign-key", prefix + ".key", "--tlog-upload=false"},
		{"verify", url, "--cosign-key", prefix + ".pub", "--insecure-ignore-tlog"},
		{"pull", url, "--output", filepath.Join(t.TempDir(), "pulled"), "--verify", "cosign", "--cosign-key", prefix + ".pub", "--insecure-ignore-tlog"},
	}
	for _, command := range commands {
		if got := assay(t, append(command, "--insecure", "--allow-insecure-credentials")...); got.code != exitFailed {
			t.Errorf("%s: without credentials: expected exit %d, found %d: %s", command[0], exitFailed, got.code, got.err)
		}
	}
	t.Setenv("DOCKER_CONFIG", folder)
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	for _, command := range commands {
		if got := assay(t, append(command, "--insecure")...); got.code != exitUsage || !strings.Contains(got.err, "--allow-insecure-credentials") {
			t.Errorf("%s: over plain HTTP: expected exit %d, found %d: %s", command[0], exitUsage, got.code, got.err)
		}
		_ = os.Remove(asked)
		got := assay(t, append(command, "--insecure", "--allow-insecure-credentials")...)
		if times, err := os.ReadFile(asked); err != nil || len(times) != 1 {
			t.Errorf("%s: expected the helper to be asked once, found %d times, %v", command[0], len(times), err)
		}
		if got.code != exitOK || strings.Contains(got.out+got.err, password) {
			t.Errorf("%s: expected exit 0 and no password, found %d: %s%s", command[0], got.code, got.out, got.err)
		}
	}
}
