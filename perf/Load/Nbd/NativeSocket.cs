using System.Runtime.InteropServices;

namespace ZeroFlow.Perf.Nbd;

/// <summary>
/// The few Linux socket calls that .NET does not offer on one socket together: a receive that blocks and a gathered
/// send that does not. At depth 1 a request then costs two system calls and no change of thread.
/// </summary>
internal static unsafe partial class NativeSocket
{
    public const int DontWait = 0x40;
    public const int NoSignal = 0x4000;
    public const int ErrorInterrupted = 4;
    public const int ErrorWouldBlock = 11;
    public const short PollIn = 1;
    public const short PollOut = 4;

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    public static partial nint Receive(int socket, byte* buffer, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    public static partial nint SendMessage(int socket, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "ppoll", SetLastError = true)]
    public static partial int Poll(PollEntry* entries, nint count, TimeSpec* timeout, void* signalMask);

    /// <summary>
    /// Lets the calling thread's waits end on time: the kernel's default slack of 50 us would be charged to the server.
    /// </summary>
    public static void SharpenTimers()
    {
        const int SetTimerSlack = 29;
        _ = ControlProcess(SetTimerSlack, 1);
    }

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static partial int ControlProcess(int option, nuint value);

    /// <summary><c>struct iovec</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Piece
    {
        public byte* Start;
        public nint Length;
    }

    /// <summary><c>struct msghdr</c> of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public Piece* Pieces;
        public nint PieceCount;
        public void* Control;
        public nint ControlLength;
        public int Flags;
    }

    /// <summary><c>struct pollfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry
    {
        public int Socket;
        public short Events;
        public short Returned;
    }

    /// <summary><c>struct timespec</c> of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
