using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.FileSystems;

/// <summary>
/// The export <c>disk</c> as a block device that outlives its server: QEMU's client, which waits for a server that is gone
/// and asks again; a server of QEMU's behind it; nbdfuse, which shows that as a file; and a loop device on the file.
/// </summary>
internal sealed class Device(TestFolder folder) : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _file = folder["device"];
    private ChildProcess? _client;
    private ChildProcess? _fuse;
    private string? _loop;

    /// <summary>Attaches it to the server on that port, and returns the path of the block device.</summary>
    public async Task<string> AttachAsync(int port)
    {
        var socket = folder["socket"];
        _client = ChildProcess.Start(
            "qemu-storage-daemon",
            [
                "--blockdev",
                $"driver=nbd,node-name=disk,server.type=inet,server.host=127.0.0.1,server.port={port},export=disk,reconnect-delay=240",
                "--nbd-server", $"addr.type=unix,addr.path={socket},max-connections=0",
                "--export", "type=nbd,id=export,node-name=disk,name=disk,writable=on",
            ]);
        await UntilAsync(() => File.Exists(socket), _client);

        await File.WriteAllBytesAsync(_file, []);
        _fuse = ChildProcess.Start("nbdfuse", [_file, $"nbd+unix:///disk?socket={socket}"]);
        await UntilAsync(() => new FileInfo(_file).Length != 0, _fuse);

        _loop = (await Tool.RunAsync("losetup", "--find", "--show", "--direct-io=on", _file)).Trim();
        return _loop;
    }

    public async ValueTask DisposeAsync()
    {
        if (_loop is not null) await Tool.TryAsync("losetup", "--detach", _loop);
        if (_fuse is not null)
        {
            // The loop device lets go of its file a moment after it was detached.
            for (var attempt = 0; attempt < 200 && !_fuse.HasExited; attempt++)
            {
                await Tool.TryAsync("umount", _file);
                await Task.Delay(50, CancellationToken.None);
            }

            // One that was in the way until the end leaves its mount behind.
            if (!_fuse.HasExited) await Tool.TryAsync("umount", "--lazy", _file);
            await _fuse.DisposeAsync();
        }

        if (_client is not null) await _client.DisposeAsync();
    }

    private static async Task UntilAsync(Func<bool> isThere, ChildProcess process)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!isThere())
        {
            if (process.HasExited || patience.IsCancellationRequested) Assert.Fail($"There is no device:\n{process.Said}");
            await Task.Delay(50, CancellationToken.None);
        }
    }
}
