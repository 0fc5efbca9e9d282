using System.Net.Sockets;
using ZeroFlow.Nbd.Protocol;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>
/// A client that keeps the rules while others do not: it writes, flushes and reads back on a thread of its own until it is
/// stopped, and every answer must be right.
/// </summary>
internal sealed class Bystander : IDisposable
{
    private const int Length = 4096;

    private readonly RawClient _client;
    private readonly Thread _thread;
    private volatile bool _isOver;
    private Exception? _fault;
    private int _rounds;

    public Bystander(RawClient attached)
    {
        _client = attached;
        _thread = new Thread(Work) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>How often it has written, flushed and read back.</summary>
    public int Rounds => Volatile.Read(ref _rounds);

    /// <summary>Waits until it has been served <paramref name="rounds"/> more times from now on.</summary>
    public async Task IsServedAsync(int rounds)
    {
        int until = Rounds + rounds;
        await TestServer.UntilAsync(() => Rounds >= until || _fault is not null, "the bystander is served");
        Assert.Null(_fault);
    }

    /// <summary>Stops, and fails if anything was not as it had to be.</summary>
    public void Stop()
    {
        _isOver = true;
        _thread.Join();
        Assert.Null(_fault);
    }

    public void Dispose()
    {
        _isOver = true;
        _thread.Join();
        _client.Dispose();
    }

    private void Work()
    {
        try
        {
            byte[] bytes = new byte[Length];
            while (!_isOver)
            {
                new Random(_rounds).NextBytes(bytes);
                ulong offset = (ulong)(_rounds % 64) * Length;
                Assert.Equal(NbdError.None, _client.Call(NbdCommand.Write, offset, Length, 0, bytes));
                Assert.Equal(NbdError.None, _client.Call(NbdCommand.Flush, 0, 0));
                Assert.Equal(bytes, _client.ReadExport(offset, Length));
                Interlocked.Increment(ref _rounds);
            }
        }
        catch (Exception fault) when (fault is SocketException or EndOfStreamException or Xunit.Sdk.XunitException)
        {
            _fault = fault;
        }
    }
}
