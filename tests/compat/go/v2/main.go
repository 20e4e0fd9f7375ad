// Driver of the compatibility suite for nacos-sdk-go v2: gRPC.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"

	"nacre.compat/driver/protocol"
)

type driver struct {
	naming        naming_client.INamingClient
	config        config_client.IConfigClient
	subscriptions map[string]*vo.SubscribeParam
}

func main() {
	protocol.Run(connect)
}

func connect(to protocol.Target) (map[string]protocol.Operation, error) {
	param := vo.NacosClientParam{
		ClientConfig: constant.NewClientConfig(
			constant.WithNamespaceId(to.Namespace),
			constant.WithUsername(to.Username),
			constant.WithPassword(to.Password),
			constant.WithTimeoutMs(5000),
			constant.WithNotLoadCacheAtStart(true),
			constant.WithUpdateCacheWhenEmpty(true),
			constant.WithDisableUseSnapShot(true),
			constant.WithCacheDir("cache"),
			constant.WithLogDir("log"),
		),
		ServerConfigs: []constant.ServerConfig{*constant.NewServerConfig(
			to.Host, to.Port, constant.WithContextPath("/nacos"), constant.WithGrpcPort(to.GrpcPort),
		)},
	}
	naming, err := clients.NewNamingClient(param)
	if err != nil {
		return nil, err
	}
	config, err := clients.NewConfigClient(param)
	if err != nil {
		return nil, err
	}
	d := &driver{naming: naming, config: config, subscriptions: map[string]*vo.SubscribeParam{}}
	return d.operations(), nil
}

func (d *driver) operations() map[string]protocol.Operation {
	return map[string]protocol.Operation{
		"register": func(c protocol.Command) (any, error) { return d.naming.RegisterInstance(registration(c, c.Instance)) },
		"update": func(c protocol.Command) (any, error) {
			return d.naming.UpdateInstance(vo.UpdateInstanceParam(registration(c, c.Instance)))
		},
		"deregister": func(c protocol.Command) (any, error) {
			return d.naming.DeregisterInstance(vo.DeregisterInstanceParam{
				Ip: c.Instance.Ip, Port: c.Instance.Port, Cluster: c.Instance.Cluster,
				ServiceName: c.Service, GroupName: c.Group, Ephemeral: c.Instance.Ephemeral,
			})
		},
		"batch_register": func(c protocol.Command) (any, error) {
			batch := vo.BatchRegisterInstanceParam{ServiceName: c.Service, GroupName: c.Group}
			for _, i := range c.Instances {
				batch.Instances = append(batch.Instances, registration(c, i))
			}
			return d.naming.BatchRegisterInstance(batch)
		},
		"list": func(c protocol.Command) (any, error) {
			found, err := d.naming.SelectAllInstances(vo.SelectAllInstancesParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group,
			})
			return hosts(found), err
		},
		"select_healthy": func(c protocol.Command) (any, error) {
			found, err := d.naming.SelectInstances(vo.SelectInstancesParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group, HealthyOnly: true,
			})
			return hosts(found), err
		},
		"select_one": func(c protocol.Command) (any, error) {
			found, err := d.naming.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group,
			})
			if err != nil {
				return nil, err
			}
			return host(*found), nil
		},
		"services": func(c protocol.Command) (any, error) {
			found, err := d.naming.GetAllServicesInfo(vo.GetAllServiceInfoParam{
				GroupName: c.Group, PageNo: c.Page, PageSize: c.Size,
			})
			return map[string]any{"count": found.Count, "names": found.Doms}, err
		},
		"subscribe": func(c protocol.Command) (any, error) {
			param := &vo.SubscribeParam{
				ServiceName: c.Service, Clusters: c.Clusters, GroupName: c.Group,
				SubscribeCallback: func(services []model.Instance, err error) {
					if err != nil {
						fmt.Fprintln(os.Stderr, "subscription:", err)
						return
					}
					protocol.Hosts(c.Tag, hosts(services))
				},
			}
			d.subscriptions[c.Tag] = param
			return nil, d.naming.Subscribe(param)
		},
		"unsubscribe": func(c protocol.Command) (any, error) {
			param := d.subscriptions[c.Tag]
			delete(d.subscriptions, c.Tag)
			return nil, d.naming.Unsubscribe(param)
		},
		"publish": func(c protocol.Command) (any, error) {
			return d.config.PublishConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group, Content: c.Content, Type: c.Type})
		},
		"cas": func(c protocol.Command) (any, error) {
			done, err := d.config.PublishConfig(vo.ConfigParam{
				DataId: c.DataId, Group: c.Group, Content: c.Content, CasMd5: c.Md5,
			})
			// The SDK reports a lost comparison as false and the server's text; every other error stays one.
			if err != nil && strings.HasPrefix(err.Error(), "Cas publish fail") {
				return done, nil
			}
			return done, err
		},
		"get": func(c protocol.Command) (any, error) {
			return protocol.Content(d.config.GetConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group}))
		},
		"remove": func(c protocol.Command) (any, error) {
			return d.config.DeleteConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group})
		},
		"listen": func(c protocol.Command) (any, error) {
			return nil, d.config.ListenConfig(vo.ConfigParam{
				DataId: c.DataId, Group: c.Group,
				OnChange: func(_, _, _, content string) {
					protocol.Config(c.Tag, content)
				},
			})
		},
		"unlisten": func(c protocol.Command) (any, error) {
			return nil, d.config.CancelListenConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group})
		},
		"status": func(protocol.Command) (any, error) {
			if d.naming.ServerHealthy() {
				return "UP", nil
			}
			return "DOWN", nil
		},
		"shutdown": func(protocol.Command) (any, error) {
			d.naming.CloseClient()
			d.config.CloseClient()
			return nil, nil
		},
	}
}

func registration(c protocol.Command, i protocol.Instance) vo.RegisterInstanceParam {
	return vo.RegisterInstanceParam{
		Ip: i.Ip, Port: i.Port, Weight: i.Weight, Enable: i.Enabled, Healthy: true, Metadata: i.Metadata,
		ClusterName: i.Cluster, ServiceName: c.Service, GroupName: c.Group, Ephemeral: i.Ephemeral,
	}
}

func hosts(found []model.Instance) []protocol.Instance {
	all := make([]protocol.Instance, 0, len(found))
	for _, i := range found {
		all = append(all, host(i))
	}
	return all
}

func host(i model.Instance) protocol.Instance {
	return protocol.Instance{
		Ip: i.Ip, Port: i.Port, Weight: i.Weight, Healthy: i.Healthy, Enabled: i.Enable,
		Ephemeral: i.Ephemeral, Cluster: i.ClusterName, Metadata: i.Metadata,
	}
}
