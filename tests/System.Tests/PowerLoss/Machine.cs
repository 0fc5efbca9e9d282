using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.PowerLoss;

/// <summary>
/// A real file system of this machine's kernel on a <see cref="ForgetfulDisk"/>, which reaches it through nbdfuse and a
/// loop device: an fsync of a file becomes a FLUSH of the disk, and only that makes anything durable.
/// </summary>
internal sealed class Machine : IAsyncDisposable
{
    private const long DiskBytes = 768L * 1024 * 1024;

    private readonly TestFolder _folder;
    private readonly string _fileSystem;
    private ChildProcess? _fuse;
    private string? _loop;
    private bool _isMounted;

    private Machine(TestFolder folder, string fileSystem)
    {
        (_folder, _fileSystem) = (folder, fileSystem);
        Disk = new ForgetfulDisk(folder["platters"], DiskBytes);
    }

    public ForgetfulDisk Disk { get; }

    /// <summary>Where its file system is mounted.</summary>
    public string Root => _folder["root"];

    /// <summary>Makes a file system and mounts it.</summary>
    public static async Task<Machine> NewAsync(TestFolder folder, string fileSystem)
    {
        Require.Root();
        Require.Tool("nbdfuse", "losetup", $"mkfs.{fileSystem}");
        var machine = new Machine(folder, fileSystem);
        folder.Make("root");
        folder.Make("device");
        try
        {
            await machine.PlugInAsync();
            await Tool.RunAsync($"mkfs.{fileSystem}", "-q", machine._loop!);
            await machine.MountAsync();
            return machine;
        }
        catch
        {
            await machine.DisposeAsync();
            throw;
        }
    }

    /// <summary>Takes down what is left of it after a loss of power, and starts it on what its disk has kept.</summary>
    public async Task RestartAsync()
    {
        await TakeDownAsync();
        Disk.RestorePower();
        await PlugInAsync();
        await MountAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await TakeDownAsync();
        await Disk.DisposeAsync();
    }

    private async Task PlugInAsync()
    {
        var device = _folder["device/disk"];
        _fuse = ChildProcess.Start("nbdfuse", [device, $"nbd://127.0.0.1:{Disk.Port}"]);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!File.Exists(device))
        {
            if (_fuse.HasExited || patience.IsCancellationRequested) Assert.Fail($"nbdfuse shows no device:\n{_fuse.Said}");
            await Task.Delay(20, CancellationToken.None);
        }

        _loop = (await Tool.RunAsync("losetup", "--find", "--show", "--direct-io=on", device)).Trim();
    }

    private async Task MountAsync()
    {
        await Tool.RunAsync("mount", "-t", _fileSystem, "-o", "noatime", _loop!, Root);
        _isMounted = true;
    }

    private async Task TakeDownAsync()
    {
        if (_isMounted) await Tool.RunAsync("umount", Root);
        _isMounted = false;
        if (_loop is not null) await Tool.RunAsync("losetup", "--detach", _loop);
        _loop = null;
        if (_fuse is null) return;
        await UnplugAsync(_fuse);
        _fuse = null;
    }

    // The loop device lets go of its file a moment after it was detached.
    private async Task UnplugAsync(ChildProcess fuse)
    {
        for (var attempt = 0; attempt < 400 && !fuse.HasExited; attempt++)
        {
            await Tool.TryAsync("umount", _folder["device"]);
            await Task.Delay(50, CancellationToken.None);
        }

        // One that was in the way until the end leaves its mount behind.
        if (!fuse.HasExited) await Tool.TryAsync("umount", "--lazy", _folder["device"]);
        await fuse.DisposeAsync();
    }
}
