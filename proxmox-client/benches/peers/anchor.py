"""The same work as the benchmark's own part, with proxmoxer and threads. Prints one line of JSON."""
import json, os, resource, statistics, sys, time
from concurrent.futures import ThreadPoolExecutor
import urllib3
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks

urllib3.disable_warnings()
mode, port, arguments = sys.argv[1], int(sys.argv[2]), [int(text) for text in sys.argv[3:]]


def connect():
    return ProxmoxAPI('127.0.0.1', port=port, verify_ssl=False, timeout=600,
                      user='root@pam', token_name='lab', token_value='lab-secret')


# How long the modelled guest boots, on a clock twice as fast as ours.
BOOT = 1.0


def done(api, upid, interval=0.1):
    status = Tasks.blocking_status(api, upid, timeout=600, polling_interval=interval)
    assert status and status['exitstatus'] == 'OK', status


def build(api, vmid):
    """Clone, cloud-init, resize, start, wait for an address."""
    node = api.nodes('pve1')
    done(api, node.qemu(9000).clone.post(newid=vmid, name=f'vm{vmid}'))
    node.qemu(vmid).config.put(ciuser='lab', ipconfig0=f'ip=192.0.2.{vmid % 250}/24', cores=2)
    done(api, node.qemu(vmid).resize.put(disk='scsi0', size='8G'))
    done(api, node.qemu(vmid).status.start.post())
    time.sleep(BOOT)
    for _ in range(600):
        try:
            cards = node.qemu(vmid).agent('network-get-interfaces').get()['result']
        except Exception:
            time.sleep(0.1)
            continue
        for card in cards:
            for address in card['ip-addresses']:
                if address['ip-address-type'] == 'ipv4' and not address['ip-address'].startswith('127.'):
                    return vmid
        time.sleep(0.1)
    raise TimeoutError(vmid)


def several(work, wanted, threads):
    made, failed = [], 0

    def one(item):
        try:
            return work(connect(), item)
        except Exception:
            return None

    with ThreadPoolExecutor(threads) as pool:
        for result in pool.map(one, wanted):
            if result is None:
                failed += 1
            else:
                made.append(result)
    return made, failed


out = {}
begun = time.monotonic()
if mode == 'p1':
    count, threads, first = arguments
    out['ids'], out['failed'] = several(build, range(first, first + count), threads)
elif mode == 'p2':
    count, threads = arguments
    out['ids'], out['failed'] = several(lambda api, _: build(api, int(api.cluster.nextid.get())), range(count), threads)
elif mode == 'p3':
    api, times = connect(), []
    for _ in range(arguments[0]):
        start = time.monotonic()
        guests = api.cluster.resources.get()
        times.append(time.monotonic() - start)
        out['count'] = len(guests)
    out['median'] = statistics.median(times)
elif mode == 'p4':
    count, seconds = arguments
    api = connect()
    started = []
    for vmid in range(1000, 1000 + count):
        started.append((api.nodes('pve1').qemu(vmid).status.start.post(), time.monotonic()))

    def delay(task):
        done(connect(), task[0], 1)
        return time.monotonic() - (task[1] + seconds)

    begun = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        out['delay'] = statistics.mean(pool.map(delay, started))
elif mode == 'p5':
    api = connect()
    path = os.environ['PEERS_FILE']
    with open(path, 'rb') as file:
        upid = api.nodes('pve1').storage('local').upload.post(content='iso', filename=file)
    out['upid'] = upid
out['wall'] = time.monotonic() - begun
out['peak'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(out))
