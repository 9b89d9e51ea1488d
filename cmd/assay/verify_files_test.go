package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// filesScene is a registry with modules that are signed in all ways, and a folder
// with manifests, which is the working directory.
type filesScene struct {
	t          *testing.T
	server     *registry.Server
	down       string
	key, other *signing.Key
	trusted    []byte // the trusted root
	root       string // its file
	app        string // the digest of app
	replace    []string
}

func newFilesScene(t *testing.T) *filesScene {
	t.Helper()
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	gone, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gone.Close() })
	gone.Down()
	s := &filesScene{t: t, server: server, down: gone.Host(), key: filesKey(t), other: filesKey(t)}
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s.publish()
	folder := t.TempDir()
	s.write(filepath.Join(golden, "files", "in"), folder)
	s.root = filepath.Join(folder, "trusted_root.json")
	t.Chdir(folder)
	if err := os.Symlink(golden, "testdata"); err != nil { // where golden looks
		t.Fatal(err)
	}
	s.hide(server.Host(), "registry.example:5000")
	s.hide(gone.Host(), "gone.example:5000")
	s.hideFingerprint(s.key, "1")
	s.hideFingerprint(s.other, "2")
	return s
}

func filesKey(t *testing.T) *signing.Key {
	t.Helper()
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// hide has golden files say something else of what differs from run to run.
func (s *filesScene) hide(what, instead string) { s.replace = append(s.replace, what, instead) }

// hideFingerprint hides the fingerprint of a key, in full and in short.
func (s *filesScene) hideFingerprint(key *signing.Key, digit string) {
	s.t.Helper()
	block, _ := pem.Decode(key.PublicPEM())
	sum := sha256.Sum256(block.Bytes)
	text := "sha256:" + hex.EncodeToString(sum[:])
	s.hide(text, "sha256:"+strings.Repeat(digit, 64))
	s.hide(text[:shortDigest], "sha256:"+strings.Repeat(digit, 12))
}

// publish fills the registry.
func (s *filesScene) publish() {
	s.t.Helper()
	release := module.Options{Version: "1.0.0"}
	app := s.push("app:1.0.0", release)
	s.app = app
	s.must(signing.SignCosign(s.t.Context(), s.server.Host()+"/app@"+app, s.key))
	s.push("app:9.9.9", release)
	s.must(signing.SignBundle(s.t.Context(), s.server.Host()+"/bundled@"+s.push("bundled:latest", release), s.key))
	s.push("unsigned:1.0.0", module.Options{Version: "1.0.0", Source: "https://git.example/unsigned"})
	s.publishEmpty()
	s.publishKeyless(release)
}

// publishEmpty publishes a signed artifact without a layer.
func (s *filesScene) publishEmpty() {
	s.t.Helper()
	image, err := module.Raw(module.RawOptions{ConfigMediaType: "application/vnd.oci.image.config.v1+json", Config: []byte("{}")})
	s.must(err)
	digest, err := module.Push(s.t.Context(), s.server.Host()+"/empty:1.0.0", image)
	s.must(err)
	s.must(signing.SignCosign(s.t.Context(), s.server.Host()+"/empty@"+digest, s.key))
}

func (s *filesScene) publishKeyless(o module.Options) {
	s.t.Helper()
	authority, err := sigstore.New()
	s.must(err)
	signer, err := authority.Issue(sigstore.GitHub("org/app", "release.yml", "refs/tags/v1.0.0"), sigstore.CertificateOptions{})
	s.must(err)
	digest := s.push("keyless:1.0.0", o)
	signed, err := authority.Sign(signer, sigstore.Request{Digest: digest, Format: sigstore.FormatBundle, Log: sigstore.Rekor1})
	s.must(err)
	s.must(signed.Attach(s.t.Context(), s.server.Host()+"/keyless@"+digest))
	s.trusted = authority.TrustedRoot()
}

func (s *filesScene) push(reference string, o module.Options) string {
	s.t.Helper()
	image, err := module.New(o)
	s.must(err)
	digest, err := module.Push(s.t.Context(), s.server.Host()+"/"+reference, image)
	s.must(err)
	return digest
}

func (s *filesScene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// write copies the manifests, with what is known only now.
func (s *filesScene) write(from, to string) {
	s.t.Helper()
	fill := strings.NewReplacer("HOST", s.server.Host(), "DOWN", s.down, "DIGEST", s.app,
		"KEY", base64.StdEncoding.EncodeToString(s.key.PublicPEM()),
		"OTHER", strings.ReplaceAll(strings.TrimSpace(string(s.other.PublicPEM())), "\n", "\n        "))
	s.must(filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, []byte(fill.Replace(string(raw))), 0o600)
	}))
	s.must(os.WriteFile(filepath.Join(to, "trusted_root.json"), s.trusted, 0o600))
}

// verify runs assay verify with what the scene needs.
func (s *filesScene) verify(args ...string) ran {
	s.t.Helper()
	return s.verifyInput("", nil, args...)
}

func (s *filesScene) verifyInput(stdin string, env map[string]string, args ...string) ran {
	s.t.Helper()
	term, out, err := fakeTerminal()
	term.in = bytes.NewReader([]byte(stdin))
	term.getenv = func(name string) string { return env[name] }
	code := run(context.WithoutCancel(s.t.Context()), term, append([]string{"verify", "--dial-allow", "127.0.0.1", "--trusted-root", s.root}, args...))
	return ran{code, out.String(), err.String()}
}

// golden compares an output.
func (s *filesScene) golden(name, got string) {
	s.t.Helper()
	golden(s.t, "files/"+name, varying.ReplaceAllString(got, `${1}"-"`), s.replace...)
}

// varying is what differs from run to run in a certificate's evidence.
var varying = regexp.MustCompile(`("?(?:logID|integratedTime)"?: )"?[^",\n]*"?`)

// TestVerifyFilesFormats: one folder with all that can be, in every format.
func TestVerifyFilesFormats(t *testing.T) {
	s := newFilesScene(t)
	for format, file := range map[string]string{"": "all.txt", "json": "all.json", "yaml": "all.yaml", "junit": "all.xml", "github": "all.github"} {
		t.Run(file, func(t *testing.T) {
			got := s.verify("-f", "deploy", "-o", format)
			if got.code != exitRefused {
				t.Errorf("expected %d, found %d", exitRefused, got.code)
			}
			s.golden(file, got.out)
			s.golden("all.stderr", got.err)
		})
	}
}
