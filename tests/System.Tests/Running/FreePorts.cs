using System.Net;
using System.Net.Sockets;

namespace ZeroFlow.SystemTests.Running;

/// <summary>Ports of the loopback address that nobody listens on.</summary>
internal static class FreePorts
{
    // Below the range from which the kernel takes the local ports of outgoing connections: a port chosen here is not
    // taken by chance before the server listens on it, or between its end and its restart.
    private const int First = 12_000;
    private const int Last = 31_000;

    /// <summary>A port such that it and the <paramref name="count"/> - 1 ports after it are free now.</summary>
    public static int Take(int count = 1)
    {
        for (var attempt = 0; attempt < 1000; attempt++)
        {
            var port = Random.Shared.Next(First, Last - count);
            if (Enumerable.Range(port, count).All(IsFree)) return port;
        }

        throw new InvalidOperationException($"There are no {count} free ports in a row.");
    }

    private static bool IsFree(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
