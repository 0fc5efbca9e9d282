namespace ZeroFlow.Stages.Journal;

/// <summary>The local disk has no room for another WAL segment. Nothing that was acknowledged is affected.</summary>
public sealed class WalDiskFullException : IOException
{
    /// <summary>Makes the exception; <paramref name="message"/> names the directory.</summary>
    public WalDiskFullException(string message, Exception? cause = null)
        : base(message, cause)
    {
    }
}
