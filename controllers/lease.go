package controllers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaderElectionID is the name of the Lease.
const leaderElectionID = "assay-controller"

// How the Lease is kept; controller-runtime's defaults, written down because the
// lock and the holder are made of them too.
var (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

const ownNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// newLock returns the Lease as a lock, and who holds it. Its identity is
//
//	<host name>_<random UUID>[_<IP>:<port>]
//
// where the address is that of this process's artifact server; the zero value is
// none. Events need a recorder, which the manager has: see Run.
func newLock(kubeconfig *rest.Config, namespace string, address netip.AddrPort, now func() time.Time) (*watchedLock, error) {
	if namespace == "" {
		text, err := os.ReadFile(ownNamespaceFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("--leader-election-namespace: outside a cluster, expected the namespace of the Lease, found nothing")
		}
		if err != nil {
			return nil, fmt.Errorf("--leader-election-namespace: %w", err)
		}
		namespace = strings.TrimSpace(string(text))
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	config := rest.AddUserAgent(rest.CopyConfig(kubeconfig), "leader-election")
	// One request that hangs must not cost the Lease.
	config.Timeout = renewDeadline / 2
	client, err := coordinationv1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	lease := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: leaderElectionID},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: identityOf(host, address)},
	}
	return &watchedLock{LeaseLock: lease, holder: &holder{self: lease.Identity(), now: now}}, nil
}

func identityOf(host string, address netip.AddrPort) string {
	identity := host + "_" + string(uuid.NewUUID())
	if address.IsValid() {
		identity += "_" + address.String()
	}
	return identity
}

// addressIn reads the address in an identity, strictly: who writes the Lease
// says where requests go. The zero value is none.
func addressIn(identity string) netip.AddrPort {
	parts := strings.Split(identity, "_")
	if len(parts) < 3 {
		return netip.AddrPort{}
	}
	text := parts[len(parts)-1]
	address, err := netip.ParseAddrPort(text)
	if err != nil || address.String() != text || address.Port() == 0 || checkPodIP(address.Addr()) != nil {
		return netip.AddrPort{}
	}
	return address
}

// ParsePodIP reads an address at which other replicas may reach this one: IPv4
// or IPv6, of one host and without a zone.
func ParsePodIP(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("expected an IP address, found %q", text)
	}
	return ip, checkPodIP(ip)
}

// checkPodIP is why other replicas cannot reach this one at an address.
func checkPodIP(ip netip.Addr) error {
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" || ip.Is4In6() {
		return fmt.Errorf("expected the address of one host, found %q", ip)
	}
	return nil
}

// watchedLock tells the holder of what leader election reads and writes anyway,
// and asks for nothing itself.
type watchedLock struct {
	*resourcelock.LeaseLock
	holder *holder
	// beforeRelease is called when the Lease is given up, before it is: all that
	// it guards has ended, and another begins once it is.
	beforeRelease func()
	// renewed is when this process last wrote that it holds the Lease.
	renewed time.Time
}

var (
	errStillWorks = errors.New("the Lease could not be renewed, and is not given up: what it guards is still at work")
	errNotOurs    = errors.New("the Lease is another's, and is not given up")
)

func (l *watchedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.LeaseLock.Get(ctx)
	switch {
	case err == nil:
		l.holder.saw(*record)
	case apierrors.IsNotFound(err):
		l.holder.saw(resourcelock.LeaderElectionRecord{})
	}
	return record, raw, err
}

func (l *watchedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.LeaseLock.Create(ctx, record)
	if err == nil {
		l.wrote(record)
	}
	return err
}

func (l *watchedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == "" {
		if err := l.prepareRelease(); err != nil {
			return err
		}
	}
	err := l.LeaseLock.Update(ctx, record)
	if err == nil {
		l.wrote(record)
	}
	return err
}

func (l *watchedLock) wrote(record resourcelock.LeaderElectionRecord) {
	if record.HolderIdentity == l.Identity() {
		l.renewed = time.Now()
	}
	l.holder.saw(record)
}

// prepareRelease is why the Lease is not given up. Leader election would give up
// one that it failed to renew, too, with the work still under way, and after a
// conflict one that another has taken meanwhile.
func (l *watchedLock) prepareRelease() error {
	switch {
	case !l.holder.isSelf():
		return errNotOurs
	case time.Since(l.renewed) >= renewDeadline:
		return errStillWorks
	case l.beforeRelease != nil:
		l.beforeRelease()
	}
	return nil
}

// holder is who holds the Lease, as far as this process has seen.
type holder struct {
	self string
	now  func() time.Time

	mu     sync.Mutex
	record resourcelock.LeaderElectionRecord
	since  time.Time // when the record was seen to change
}

func (h *holder) saw(record resourcelock.LeaderElectionRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if record.HolderIdentity != h.record.HolderIdentity || !record.RenewTime.Equal(&h.record.RenewTime) || record.LeaderTransitions != h.record.LeaderTransitions {
		h.since = h.now()
	}
	h.record = record
}

// isSelf reports whether this process was last seen to hold it.
func (h *holder) isSelf() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.record.HolderIdentity == h.self
}

// address is where the holder serves artifacts, while it is another process and
// its Lease is valid by this process's clock; the zero value otherwise.
func (h *holder) address() netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.record.HolderIdentity == h.self || h.now().Sub(h.since) >= time.Duration(h.record.LeaseDurationSeconds)*time.Second {
		return netip.AddrPort{}
	}
	return addressIn(h.record.HolderIdentity)
}
