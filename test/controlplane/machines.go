package controlplane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Machines are an etcd and a kube-apiserver that can die, come back, and be set
// back, each by itself. envtest's cannot: they lose their data when they stop.
type Machines struct {
	// Config is for a cluster administrator.
	Config *rest.Config

	folder, assets    string
	etcd, api         *exec.Cmd
	etcdURL, peerURL  string
	apiHost, caFile   string
	etcdData, apiData string
}

// NewMachines starts both, with the CRDs of config/crd/bases, with all that they
// keep below folder. The caller stops them.
func NewMachines(ctx context.Context, folder string, progress io.Writer) (*Machines, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	assets, err := Assets(progress)
	if err != nil {
		return nil, err
	}
	var hosts [3]string
	for i := range hosts {
		if hosts[i], err = freeHost(); err != nil {
			return nil, err
		}
	}
	m := &Machines{
		folder: folder, assets: assets,
		etcdURL: "http://" + hosts[0], peerURL: "http://" + hosts[1], apiHost: hosts[2],
		etcdData: filepath.Join(folder, "etcd"), apiData: filepath.Join(folder, "kube-apiserver"),
	}
	m.caFile = filepath.Join(m.apiData, "apiserver.crt")
	if err := m.prepare(); err != nil {
		return nil, err
	}
	if err := errors.Join(m.StartEtcd(ctx), m.StartAPIServer(ctx)); err != nil {
		m.Stop()
		return nil, err
	}
	if _, err := envtest.InstallCRDs(m.Config, envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(root, "config", "crd", "bases")}, ErrorIfPathMissing: true, MaxTime: startTimeout,
	}); err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// freeHost is a free port of 127.0.0.1.
func freeHost() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// prepare writes the key of ServiceAccounts, which the API server wants, and the
// administrator's token.
func (m *Machines) prepare() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	token := rand.Text()
	m.Config = &rest.Config{Host: "https://" + m.apiHost, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: m.caFile}}
	return errors.Join(
		os.MkdirAll(m.apiData, 0o700),
		os.WriteFile(filepath.Join(m.apiData, "sa.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(m.apiData, "tokens.csv"), []byte(token+",admin,admin,system:masters\n"), 0o600),
	)
}

// StartEtcd starts etcd with the data that it had, and waits until it answers.
func (m *Machines) StartEtcd(ctx context.Context) (err error) {
	m.etcd, err = m.start("etcd",
		"--data-dir", m.etcdData, "--listen-client-urls", m.etcdURL, "--advertise-client-urls", m.etcdURL,
		"--listen-peer-urls", m.peerURL, "--unsafe-no-fsync")
	if err != nil {
		return err
	}
	return await(ctx, m.etcdURL+"/health", http.DefaultTransport)
}

// StartAPIServer starts kube-apiserver under the address that it had, and waits
// until it is ready.
func (m *Machines) StartAPIServer(ctx context.Context) (err error) {
	host, port, err := net.SplitHostPort(m.apiHost)
	if err != nil {
		return err
	}
	key := filepath.Join(m.apiData, "sa.key")
	m.api, err = m.start("kube-apiserver",
		"--etcd-servers", m.etcdURL, "--bind-address", host, "--advertise-address", host, "--secure-port", port, "--cert-dir", m.apiData,
		"--service-account-issuer", m.Config.Host, "--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--service-cluster-ip-range", "10.0.0.0/24", "--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount",
		"--token-auth-file", filepath.Join(m.apiData, "tokens.csv"))
	if err != nil {
		return err
	}
	// It makes its certificate at its first start.
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(m.caFile); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s for the certificate of kube-apiserver", startTimeout)
		}
	}
	transport, err := rest.TransportFor(m.Config)
	if err != nil {
		return err
	}
	return await(ctx, m.Config.Host+"/readyz", transport)
}

func (m *Machines) start(program string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(m.folder, program+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(m.assets, program), args...)
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, cmd.Start()
}

// await asks until the answer is 200.
func await(ctx context.Context, url string, transport http.RoundTripper) error {
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	var last error
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if last = err; err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return nil
		}
		last = errors.New(response.Status)
	}
	return fmt.Errorf("waited %s for %s: %w", startTimeout, url, last)
}

// KillAPIServer ends kube-apiserver as a machine that dies does.
func (m *Machines) KillAPIServer() { kill(&m.api) }

// KillEtcd ends etcd as a machine that dies does.
func (m *Machines) KillEtcd() { kill(&m.etcd) }

// Stop ends both.
func (m *Machines) Stop() {
	m.KillAPIServer()
	m.KillEtcd()
}

func kill(cmd **exec.Cmd) {
	if *cmd != nil && (*cmd).Process != nil {
		_ = (*cmd).Process.Kill() // An error where it has ended.
		_ = (*cmd).Wait()         // It was killed.
	}
	*cmd = nil
}

// Save copies what etcd holds into a folder that is not there yet.
func (m *Machines) Save(ctx context.Context, to string) error {
	m.KillEtcd()
	return errors.Join(os.CopyFS(to, os.DirFS(m.etcdData)), m.StartEtcd(ctx))
}

// Restore brings back what Save copied. From its start on, kube-apiserver is as
// it was then, with the resource versions of then.
func (m *Machines) Restore(ctx context.Context, from string) error {
	m.Stop()
	if err := errors.Join(os.RemoveAll(m.etcdData), os.CopyFS(m.etcdData, os.DirFS(from))); err != nil {
		return err
	}
	return errors.Join(m.StartEtcd(ctx), m.StartAPIServer(ctx))
}
