package scale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	proxy      = "localhost:7439" // what rewritten images begin with
	namespaces = 50
	creators   = 16 // clients that create pods at once
)

// pod is one that is to be created, with its images.
type pod struct {
	name, namespace string
	images          []image
}

// podsOf spreads images over so many pods, at least as many: each image is used, some by many. Every fifth pod has two or three images.
func podsOf(images []image, count int) []pod {
	random := rand.New(rand.NewPCG(1, 2))
	order := random.Perm(len(images))
	popular := func() image { // the square prefers the front
		at := random.Float64()
		return images[int(at*at*float64(len(images)))]
	}
	pods := make([]pod, count)
	for i := range pods {
		pods[i] = pod{name: fmt.Sprintf("app-%d", i), namespace: fmt.Sprintf("shop-%d", i%namespaces), images: []image{popular()}}
		if i < len(order) {
			pods[i].images[0] = images[order[i]]
		}
		if i%5 == 0 {
			pods[i].images = append(pods[i].images, popular())
		}
		if i%20 == 0 {
			pods[i].images = append(pods[i].images, popular())
		}
	}
	random.Shuffle(count, func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
	return pods
}

// object is the pod as the webhook leaves it. A second image is an init container's.
func (p pod) object() *corev1.Pod {
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.name, Namespace: p.namespace, Labels: map[string]string{"app": p.name}}}
	for i, image := range p.images {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: proxy + "/" + image.name, ImagePullPolicy: corev1.PullIfNotPresent}
		if i == 1 {
			object.Spec.InitContainers = append(object.Spec.InitContainers, c)
		} else {
			object.Spec.Containers = append(object.Spec.Containers, c)
		}
	}
	return object
}

func (w *world) createNamespaces(ctx context.Context) error {
	for i := range namespaces {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("shop-%d", i)}}
		if err := w.cluster.Create(ctx, namespace); err != nil {
			return fmt.Errorf("creating a namespace: %w", err)
		}
	}
	return nil
}

// create creates pods, as fast as the API server takes them, or spread over a time.
func (w *world) create(ctx context.Context, pods []pod, over time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	start := time.Now()
	for i, p := range pods {
		due := start.Add(over * time.Duration(i) / time.Duration(len(pods)))
		if wait := time.Until(due); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				break
			}
		}
		group.Go(func() error {
			w.expect.add(p, time.Now())
			if err := w.cluster.Create(ctx, p.object()); err != nil {
				return fmt.Errorf("creating pod %s: %w", p.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// run has all pods tell that they run, as their nodes do.
func (w *world) run(ctx context.Context, pods []pod) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for _, p := range pods {
		group.Go(func() error {
			object := p.object()
			object.Status = corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "192.0.2.1", PodIP: "192.0.2.2", StartTime: new(metav1.Now())}
			if err := w.cluster.Status().Update(ctx, object); err != nil {
				return fmt.Errorf("having pod %s run: %w", p.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
